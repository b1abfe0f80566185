//! Draws a run while it goes on, in one of four ways.
//!
//! Owns the way from a stream of events to stderr. It follows the stream and cannot steer it; it ends when the stream
//! does. What is drawn comes from `fancy` and `plain`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::MissedTickBehavior;

use crate::cli;
use crate::execute::Event;
use crate::plan::StepId;
use crate::render::fancy::{Moment, Screen, frame, header, line};
use crate::render::output;
use crate::render::plain::Plain;
use crate::render::progress::{Progress, UndoState};
use crate::render::style::Palette;

/// Ways of drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A line per resource that changes in place; needs a terminal.
    Fancy,
    /// A line per event that is worth one.
    Plain,
    /// Every event as one line of JSON.
    Json,
    /// Nothing.
    Quiet,
}

impl Mode {
    /// The way that fits where stderr goes.
    pub fn auto(is_terminal: bool) -> Self {
        if is_terminal { Self::Fancy } else { Self::Plain }
    }

    /// The way that the user asked for. Lines that change in place are asked for in vain where nothing can change.
    pub fn choose(asked: cli::Progress, is_terminal: bool) -> Self {
        match asked {
            cli::Progress::Auto | cli::Progress::Fancy => Self::auto(is_terminal),
            cli::Progress::Plain => Self::Plain,
            cli::Progress::Json => Self::Json,
            cli::Progress::Quiet => Self::Quiet,
        }
    }
}

/// Draws until the channel closes, and returns the run as it was seen. `expected` is how long it may take, where that is
/// known.
pub async fn draw(mode: Mode, events: UnboundedReceiver<Event>, expected: Option<Duration>) -> Progress {
    match mode {
        Mode::Fancy => fancy(events, expected).await,
        Mode::Plain => {
            let mut plain = Plain::default();
            follow(events, |progress, event| plain.line(progress?, event)).await
        }
        Mode::Json => follow(events, |_, event| Some(json(event))).await,
        Mode::Quiet => follow(events, |_, _| None).await,
    }
}

/// Says what there is to say of each event. There is no progress where an event cannot come now: the stream is shown as
/// it is, but no story is made of it.
async fn follow(
    mut events: UnboundedReceiver<Event>,
    mut say: impl FnMut(Option<&Progress>, &Event) -> Option<String>,
) -> Progress {
    let mut progress = Progress::default();
    while let Some(event) = events.recv().await {
        let fits = progress.apply(&event).is_ok();
        if let Some(line) = say(fits.then_some(&progress), &event) {
            output::note(&line);
        }
    }
    progress
}

fn json(event: &Event) -> String {
    serde_json::to_string(event).expect("an event has no map with keys that are not strings")
}

/// Often enough for a spinner to turn, seldom enough for a slow line.
const FRAME: Duration = Duration::from_millis(80);

async fn fancy(mut events: UnboundedReceiver<Event>, expected: Option<Duration>) -> Progress {
    let mut picture = Picture::new();
    picture.progress.expected = expected;
    let mut ticks = tokio::time::interval(FRAME);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => picture.take(&event),
                None => break,
            },
            _ = ticks.tick() => picture.show(),
        }
    }
    picture.leave()
}

/// What stands on the terminal now.
///
/// One bar whose message is the whole frame: so the lines are drawn in one go and can come and go, which a bar for each
/// of them cannot without flicker.
struct Picture {
    progress: Progress,
    palette: Palette,
    bar: ProgressBar,
    tick: usize,
    /// When the last event came, on the clock of this machine.
    heard: Instant,
    /// Whether the plan was ever too long for the screen.
    long: bool,
    /// Steps whose line is above the picture, for good.
    printed: BTreeSet<StepId>,
}

impl Picture {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::with_template("{msg}").expect("`{msg}` is a template"));
        Self {
            progress: Progress::default(),
            palette: Palette::stderr(),
            bar,
            tick: 0,
            heard: Instant::now(),
            long: false,
            printed: BTreeSet::new(),
        }
    }

    fn take(&mut self, event: &Event) {
        self.heard = Instant::now();
        // What cannot come now is not drawn; the run is not the drawing's to judge.
        let _ = self.progress.apply(event);
    }

    fn moment(&self) -> Moment {
        let since = if self.progress.outcome.is_some() { Duration::ZERO } else { self.heard.elapsed() };
        Moment { now: self.progress.elapsed + since, tick: self.tick }
    }

    fn show(&mut self) {
        self.tick += 1;
        let screen = screen();
        self.long |= !screen.holds(&self.progress);
        if self.long {
            for text in self.over(screen) {
                self.bar.println(text);
            }
        }
        // A plan that was too long once stays so: its finished lines are above the picture.
        let most = if self.long { self.progress.tracks.len() + 1 } else { usize::MAX };
        let screen = Screen { height: screen.height.min(most), ..screen };
        self.bar.set_message(frame(&self.progress, self.moment(), screen, &self.palette).join("\n"));
    }

    /// The lines of steps that are over and not yet printed.
    fn over(&mut self, screen: Screen) -> Vec<String> {
        let moment = self.moment();
        let over = self.progress.tracks.iter().filter(|track| track.state.is_over()).map(|track| track.summary.step);
        let over: Vec<StepId> = over.filter(|id| !self.printed.contains(id)).collect();
        self.printed.extend(&over);
        let tracks = over.iter().filter_map(|id| self.progress.track(*id));
        tracks.map(|track| line(&self.progress, track, moment, screen, &self.palette)).collect()
    }

    /// Takes the picture off and writes what stays: every step as it ended.
    fn leave(mut self) -> Progress {
        self.bar.finish_and_clear();
        let screen = screen();
        let mut lines = Vec::new();
        if self.long {
            lines.extend(self.over(screen));
            let moment = self.moment();
            let undone = self.progress.tracks.iter().filter(|track| track.undo != UndoState::Untouched);
            lines.extend(undone.map(|track| line(&self.progress, track, moment, screen, &self.palette)));
            lines.extend(header(&self.progress, moment.now, &self.palette));
        } else {
            let whole = Screen { height: usize::MAX, ..screen };
            lines = frame(&self.progress, self.moment(), whole, &self.palette);
        }
        let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
        output::note(&lines.join("\n"));
        self.progress
    }
}

fn screen() -> Screen {
    let (height, width) = Term::stderr().size_checked().unwrap_or((24, 80));
    // The last column stays free: terminals differ in what they do after it.
    Screen { width: usize::from(width).saturating_sub(1), height: usize::from(height), unicode: unicode() }
}

/// Whether the locale can show more than ASCII: the first of the three variables that is set decides (POSIX). Where none
/// is, as in most containers, the terminal outside can.
fn unicode() -> bool {
    let values =
        ["LC_ALL", "LC_CTYPE", "LANG"].map(|name| std::env::var(name).unwrap_or_default().to_ascii_lowercase());
    let locale = values.into_iter().find(|value| !value.is_empty());
    locale.is_none_or(|locale| locale.contains("utf-8") || locale.contains("utf8"))
}
