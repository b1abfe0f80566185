//! A run as a page to look at: each step on an axis of time, the critical path marked.
//!
//! Owns the page. It stands alone, asks for nothing from elsewhere and needs no script: what is shown on hover is in the
//! table as well.

use std::fmt::Write as _;
use std::time::Duration;

use crate::execute::Outcome;
use crate::render::course::critical_path;
use crate::render::outcome::problem;
use crate::render::progress::{Progress, StepState, Track};
use crate::render::words::took;

/// Pixels of the chart, the names at its left, and a row of it.
const WIDTH: f64 = 1000.0;
const NAMES: f64 = 210.0;
const ROW: f64 = 24.0;

const STYLE: &str = "\
:root{color-scheme:light dark;--text:#1b1f24;--faint:#667;--line:#d7dbe0;--page:#fff;--wave:#f4f6f8;--work:#4c78c9;--gate:#9ec1f2;\
--good:#2a8a4a;--bad:#c62f2f;--path:#c77700}
@media(prefers-color-scheme:dark){:root{--text:#e4e7eb;--faint:#9aa3ad;--line:#3a4149;--page:#15191e;--wave:#1c2229;--work:#5b8be0;\
--gate:#2f4f80;--good:#4cb871;--bad:#ef6461;--path:#f0a431}}
body{margin:2rem auto;max-width:1060px;padding:0 1rem;background:var(--page);color:var(--text);font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.4rem;margin:0}p{margin:.3rem 0}.faint{color:var(--faint)}svg{width:100%;height:auto;margin:1rem 0}
svg text{font:12px system-ui,sans-serif;fill:var(--text)}svg .faint{fill:var(--faint)}.grid{stroke:var(--line)}.wave{fill:var(--wave)}
.work{fill:var(--work)}.gate{fill:var(--gate)}.failed{fill:var(--bad)}.on{stroke:var(--path);stroke-width:2.5}.mark{fill:var(--path);color:var(--path);font-weight:700}
.key span{display:inline-block;width:1em;height:1em;margin:0 .4em 0 1.2em;vertical-align:-.15em;border-radius:2px}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid var(--line)}
th,td:first-child{white-space:nowrap}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}tr.on td:first-child{border-left:3px solid var(--path)}";

/// The page of a run. `when` says when it began.
pub fn page(progress: &Progress, when: &str) -> String {
    let project = progress.project.as_ref().map(ToString::to_string).unwrap_or_default();
    let path: Vec<usize> = critical_path(progress).iter().map(|track| track.summary.step.0).collect();
    let mut text = String::new();
    let _ = writeln!(text, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    let _ = writeln!(text, "<meta name=\"viewport\" content=\"width=device-width\">");
    let _ = writeln!(text, "<title>{} \u{2013} timings</title>\n<style>{STYLE}</style></head><body>", plain(&project));
    let _ = writeln!(text, "<h1>{}</h1>", plain(&project));
    let _ = writeln!(
        text,
        "<p>{} in {} <span class=\"faint\">\u{b7} {}</span></p>",
        outcome(progress),
        took(progress.elapsed),
        plain(when)
    );
    if !path.is_empty() {
        let names: Vec<String> = path.iter().filter_map(|step| progress.tracks.get(*step)).map(link).collect();
        let _ = writeln!(text, "<p><b class=\"mark\">\u{25c6}</b> the critical path: {}</p>", names.join(" \u{2192} "));
    }
    text.push_str(&chart(progress, &path));
    text.push_str(KEY);
    text.push_str(&table(progress, &path));
    text.push_str("</body></html>\n");
    text
}

const KEY: &str = "<p class=\"key faint\"><span style=\"background:var(--work)\"></span>carried out\
<span style=\"background:var(--gate)\"></span>waited until healthy<span style=\"background:var(--bad)\"></span>failed\
<span style=\"border:2px solid var(--path)\"></span>on the critical path</p>\n";

fn outcome(progress: &Progress) -> &'static str {
    match progress.outcome {
        Some(Outcome::Completed) => "completed",
        Some(Outcome::RolledBack { .. }) => "rolled back",
        Some(Outcome::Stuck { .. }) => "ended with something left behind",
        None => "not over",
    }
}

fn link(track: &Track) -> String {
    let spent = track.took(Duration::ZERO).map(|time| format!(" ({})", took(time))).unwrap_or_default();
    format!("{}{spent}", plain(&track.summary.resource.to_string()))
}

fn chart(progress: &Progress, path: &[usize]) -> String {
    let whole = progress.elapsed.as_secs_f64().max(0.001);
    let x = |time: Duration| NAMES + (WIDTH - NAMES - 10.0) * (time.as_secs_f64() / whole).min(1.0);
    let height = 24.0 + ROW * f64::from(u32::try_from(progress.tracks.len()).unwrap_or(u32::MAX)) + 6.0;
    let mut text =
        format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"steps of the run by time\">\n");
    let mut y = 24.0;
    for track in &progress.tracks {
        if track.summary.wave % 2 == 0 {
            let _ = writeln!(text, "<rect class=\"wave\" x=\"0\" y=\"{y}\" width=\"{WIDTH}\" height=\"{ROW}\"/>");
        }
        y += ROW;
    }
    for tick in ticks(whole) {
        let at = x(Duration::from_secs_f64(tick));
        let _ = writeln!(text, "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"20\" y2=\"{height}\"/>");
        let _ = writeln!(text, "<text class=\"faint\" x=\"{at:.1}\" y=\"14\" text-anchor=\"middle\">{tick}s</text>");
    }
    let mut y = 24.0;
    for track in &progress.tracks {
        text.push_str(&row(progress, track, path.contains(&track.summary.step.0), y, &x));
        y += ROW;
    }
    text + "</svg>\n"
}

/// A row: the name, and a bar for what was carried out and one for what was waited for.
fn row(progress: &Progress, track: &Track, on: bool, y: f64, x: &impl Fn(Duration) -> f64) -> String {
    let name = track.summary.resource.to_string().replace('`', "");
    let mut text = format!("<g><title>{}</title>\n", plain(&told(progress, track)));
    let before = track.summary.step.0.checked_sub(1).and_then(|step| progress.tracks.get(step));
    if before.is_none_or(|before| before.summary.wave != track.summary.wave) {
        let (at, wave) = (NAMES - 10.0, track.summary.wave);
        let _ = writeln!(
            text,
            "<text class=\"faint\" x=\"{at}\" y=\"{}\" text-anchor=\"end\">wave {wave}</text>",
            y + 16.0
        );
    }
    let mark = if on { "<tspan class=\"mark\">\u{25c6} </tspan>" } else { "" };
    let _ = writeln!(text, "<text x=\"4\" y=\"{}\">{mark}{}</text>", y + 16.0, plain(&name));
    if let Some(began) = track.began {
        let ended = track.ended.unwrap_or(progress.elapsed);
        let applied = track.applied.unwrap_or(ended);
        let class = if on { " on" } else { "" };
        let failed = matches!(track.state, StepState::Failed(_));
        let mut bar = |kind: &str, from: Duration, to: Duration| {
            let wide = (x(to) - x(from)).max(1.5);
            let _ = writeln!(
                text,
                "<rect class=\"{kind}{class}\" x=\"{:.1}\" y=\"{}\" width=\"{wide:.1}\" height=\"{}\" rx=\"2\"/>",
                x(from),
                y + 4.0,
                ROW - 8.0
            );
        };
        bar(if failed && track.applied.is_none() { "failed" } else { "work" }, began, applied);
        if !track.summary.gate.is_empty() && ended > applied {
            bar(if failed { "failed" } else { "gate" }, applied, ended);
        }
    }
    text + "</g>\n"
}

/// A step in one sentence, for the hover and for those who cannot see the chart.
fn told(progress: &Progress, track: &Track) -> String {
    let summary = &track.summary;
    let mut text = format!("{}: {}, wave {}", summary.resource, summary.action.as_str(), summary.wave);
    let Some(began) = track.began else { return format!("{text}; not started") };
    let ended = track.ended.unwrap_or(progress.elapsed);
    let applied = track.applied.unwrap_or(ended);
    let _ = write!(text, "; from {} to {}", took(began), took(ended));
    let _ = write!(text, "; carried out in {}", took(applied.saturating_sub(began)));
    if !summary.gate.is_empty() {
        let _ = write!(text, "; {} after {} more", summary.gate, took(ended.saturating_sub(applied)));
    }
    if let StepState::Failed(failure) = &track.state {
        let _ = write!(text, "; {}", problem(failure));
    }
    text
}

fn table(progress: &Progress, path: &[usize]) -> String {
    let mut text =
        "<table><thead><tr><th>step</th><th>wave</th><th class=\"n\">began</th><th class=\"n\">carried out</th>\
                    <th class=\"n\">gate</th><th>end</th></tr></thead><tbody>\n"
            .to_owned();
    for track in &progress.tracks {
        let on = if path.contains(&track.summary.step.0) { " class=\"on\"" } else { "" };
        let ended = track.ended.unwrap_or(progress.elapsed);
        let applied = track.applied.unwrap_or(ended);
        let time = |time: Option<Duration>| time.map(took).unwrap_or_default();
        let gate =
            track.applied.filter(|_| !track.summary.gate.is_empty()).map(|applied| ended.saturating_sub(applied));
        let end = match &track.state {
            StepState::Failed(failure) => problem(failure),
            state => state.as_str().to_owned(),
        };
        let _ = writeln!(
            text,
            "<tr{on}><td>{} {}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
            track.summary.action.sign(),
            plain(&track.summary.resource.to_string().replace('`', "")),
            track.summary.wave,
            time(track.began),
            time(track.began.map(|began| applied.saturating_sub(began))),
            time(gate),
            plain(&end)
        );
    }
    text + "</tbody></table>\n"
}

/// Whole seconds or tenths, ten of them at most.
fn ticks(whole: f64) -> Vec<f64> {
    let steps = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];
    let step = steps.into_iter().find(|step| whole / step <= 10.0).unwrap_or(whole / 10.0);
    (0..=10).map(|n| (f64::from(n) * step * 10.0).round() / 10.0).filter(|at| *at <= whole).collect()
}

fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
