//! The progress of downloads: a bar for each on a terminal, a line at its start and its end elsewhere.
//!
//! Owns the words and the bars. Knows nothing of where the bytes come from or go to.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::image::Progress;
use crate::names::ImageName;
use crate::render::draw::Mode;
use crate::render::images::about;
use crate::render::output;
use crate::units::{Bytes, Span};

/// Draws downloads, as it is told of them from several threads.
pub struct Downloads {
    mode: Mode,
    bars: MultiProgress,
    under_way: Mutex<BTreeMap<ImageName, Shown>>,
}

/// What is shown of one download.
struct Shown {
    stage: &'static str,
    bar: ProgressBar,
}

impl Downloads {
    /// Nothing is drawn before something is told.
    pub fn new(mode: Mode) -> Self {
        Self { mode, bars: MultiProgress::new(), under_way: Mutex::default() }
    }

    /// Draws a moment in the fetching of an image. Events of a run are all that JSON has, so it has none of this.
    pub fn tell(&self, name: &ImageName, progress: &Progress) {
        if matches!(self.mode, Mode::Json | Mode::Quiet) || *progress == (Progress::Ready { cached: true }) {
            return;
        }
        let mut under_way = self.under_way.lock().expect("nobody panics while drawing");
        let shown = under_way.entry(name.clone()).or_insert_with(|| Shown { stage: "", bar: self.bar(name) });
        let news = shown.stage != stage(progress) || matches!(progress, Progress::Retrying { .. });
        shown.stage = stage(progress);
        match self.mode {
            Mode::Plain if news => output::note(&line(name, progress)),
            Mode::Fancy => self.draw(shown, name, progress, news),
            _ => {}
        }
    }

    /// Takes the bars away: what stays on the screen are the lines about what was completed.
    pub fn end(&self) {
        // A terminal that is gone needs no cleaning.
        let _ = self.bars.clear();
    }

    fn bar(&self, name: &ImageName) -> ProgressBar {
        let bar = ProgressBar::no_length().with_prefix(name.to_string());
        if self.mode == Mode::Fancy { self.bars.add(bar) } else { bar }
    }

    fn draw(&self, shown: &Shown, name: &ImageName, progress: &Progress, news: bool) {
        let bar = &shown.bar;
        match progress {
            Progress::Downloading { got, of } => {
                if news {
                    bar.set_style(style(of.is_some()));
                }
                if let Some(of) = of {
                    bar.set_length(*of);
                }
                bar.set_position(*got);
            }
            Progress::Ready { .. } => {
                bar.finish_and_clear();
                self.bars.suspend(|| output::note(&line(name, progress)));
            }
            other => {
                bar.set_style(ProgressStyle::with_template("image `{prefix}`: {msg}").expect("a legal template"));
                bar.set_message(words(other));
            }
        }
    }
}

fn style(known: bool) -> ProgressStyle {
    let template = if known {
        "image `{prefix}`: {bar:24} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left"
    } else {
        "image `{prefix}`: {bytes}, {bytes_per_sec}"
    };
    ProgressStyle::with_template(template).expect("a legal template")
}

fn stage(progress: &Progress) -> &'static str {
    match progress {
        Progress::Waiting { .. } => "waiting",
        Progress::Downloading { .. } => "downloading",
        Progress::Retrying { .. } => "retrying",
        Progress::Checking => "checking",
        Progress::Unpacking { .. } => "unpacking",
        Progress::Ready { .. } => "ready",
    }
}

/// The line for a moment.
pub fn line(name: &ImageName, progress: &Progress) -> String {
    format!("image `{name}`: {}", words(progress))
}

fn words(progress: &Progress) -> String {
    match progress {
        Progress::Waiting { holder: Some(holder) } => format!("waiting for process {holder}, which fetches it"),
        Progress::Waiting { holder: None } => "waiting for another process, which fetches it".to_owned(),
        Progress::Downloading { of: Some(of), .. } => format!("downloading {}", about(Bytes(*of))),
        Progress::Downloading { of: None, .. } => "downloading".to_owned(),
        Progress::Retrying { problem, after } => {
            format!("{problem}; once more in {}", Span(Duration::from_secs(after.as_secs().max(1))))
        }
        Progress::Checking => "checking".to_owned(),
        Progress::Unpacking { .. } => "unpacking".to_owned(),
        Progress::Ready { cached: true } => "in the cache".to_owned(),
        Progress::Ready { cached: false } => "ready".to_owned(),
    }
}
