//! How far a guest's cloud-init has come.
//!
//! Owns where cloud-init says so (its files `status.json` and `result.json`, which are its documented interface), and what
//! that means. Not its command `status`: it says the same, after seconds of a busy processor at every attempt. Knows
//! nothing of how a command gets into the guest.

use serde::Deserialize;
use serde_json::{Deserializer, Value};

/// Prints what is known, as one JSON value or two, and always ends with 0.
pub(super) const LOOK: &str = "d=/run/cloud-init; \
    if test -s $d/result.json; then cat $d/result.json; test -s $d/status.json && cat $d/status.json; \
    elif test -e $d/disabled; then echo '\"disabled\"'; \
    elif test -s $d/status.json; then cat $d/status.json; \
    elif test -d $d || test -e /usr/bin/cloud-init || command -v cloud-init >/dev/null; then echo '\"early\"'; \
    else echo '\"absent\"'; fi; true";

/// What cloud-init says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has finished.
    Done,
    /// It has finished, with warnings; the first of them, in words.
    Degraded(String),
    /// It has not finished; what it does, in words.
    Running(String),
    /// It has failed, or will never do anything; why, in words.
    Failed(String),
}

#[derive(Deserialize, Default)]
struct Outer {
    v1: V1,
}

/// `result.json` has `errors`, `status.json` has `stage`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct V1 {
    errors: Option<Vec<String>>,
    stage: Option<String>,
}

/// Reads what [`LOOK`] printed.
pub(super) fn verdict(printed: &str) -> Verdict {
    // A file may be read while it is written: then the next attempt tells.
    let mut values = Deserializer::from_str(printed).into_iter::<Value>();
    let Some(Ok(first)) = values.next() else {
        return Verdict::Running("cloud-init has not said yet what it does".to_owned());
    };
    match first.as_str() {
        Some("disabled") => return Verdict::Failed("cloud-init is switched off in this guest".to_owned()),
        Some("absent") => return Verdict::Failed("there is no cloud-init in this guest".to_owned()),
        Some(_) => return Verdict::Running("cloud-init has not begun".to_owned()),
        None => {}
    }
    let V1 { errors, stage } = serde_json::from_value::<Outer>(first).unwrap_or_default().v1;
    match (errors.as_deref(), stage) {
        (Some([]), _) => {
            values.next().and_then(Result::ok).and_then(|status| warning(&status)).map_or(Verdict::Done, |warning| {
                Verdict::Degraded(format!("cloud-init is done, with a warning: {}", words(&warning)))
            })
        }
        (Some([first, rest @ ..]), _) => Verdict::Failed(failure(first, rest.len())),
        (None, Some(stage)) => Verdict::Running(format!("cloud-init is in its stage `{stage}`")),
        (None, None) => Verdict::Running("cloud-init is between two stages".to_owned()),
    }
}

/// The first thing that went wrong in a stage without ending it, as cloud-init has noted it from version 23.4 on.
fn warning(status: &Value) -> Option<String> {
    let stages = status.get("v1")?.as_object()?.values();
    let levels = stages.filter_map(|stage| stage.get("recoverable_errors")?.as_object());
    // What is only going to be wrong one day is no warning.
    let said = levels.flatten().filter(|(level, _)| *level != "DEPRECATED").filter_map(|(_, said)| said.as_array());
    said.flatten().find_map(Value::as_str).map(ToOwned::to_owned)
}

/// An error of cloud-init's reads `('MODULE', Exception('words'))`.
fn failure(error: &str, others: usize) -> String {
    let others = match others {
        0 => String::new(),
        1 => ", and one more error".to_owned(),
        n => format!(", and {n} more errors"),
    };
    let named = error.strip_prefix("('").and_then(|rest| rest.split_once("', "));
    let text = match named {
        Some((module, rest)) => {
            format!("cloud-init failed in its module `{module}`: {}", words(rest.strip_suffix(')').unwrap_or(rest)))
        }
        None => format!("cloud-init failed: {}", words(error)),
    };
    text + &others
}

/// The beginning, on one line.
fn words(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(words: &str) -> Verdict {
        Verdict::Failed(words.to_owned())
    }

    #[test]
    fn a_result_without_errors_is_done_or_degraded() {
        let result = r#"{"v1": {"datasource": "DataSourceNoCloud [seed=/dev/vdb]", "errors": []}}"#;
        assert_eq!(verdict(result), Verdict::Done);
        let status = r#"{"v1": {"stage": null, "init": {"errors": [], "recoverable_errors": {"WARNING": ["x"]}}}}"#;
        let degraded = Verdict::Degraded("cloud-init is done, with a warning: x".to_owned());
        assert_eq!(verdict(&format!("{result}\n{status}")), degraded);
        let deprecated = status.replace("WARNING", "DEPRECATED");
        assert_eq!(verdict(&format!("{result}\n{deprecated}")), Verdict::Done);
    }

    #[test]
    fn an_error_names_its_module() {
        let one = r#"{"v1": {"errors": ["('timezone', OSError('Invalid timezone Mars/Olympus, no file'))"]}}"#;
        let said = "cloud-init failed in its module `timezone`: OSError('Invalid timezone Mars/Olympus, no file')";
        assert_eq!(verdict(one), failed(said));
        let two = r#"{"v1": {"errors": ["('scripts_user', RuntimeError('a\nb'))", "('x', y)"]}}"#;
        assert_eq!(
            verdict(two),
            failed("cloud-init failed in its module `scripts_user`: RuntimeError('a b'), and one more error")
        );
        let other = r#"{"v1": {"errors": ["something else"]}}"#;
        assert_eq!(verdict(other), failed("cloud-init failed: something else"));
    }

    #[test]
    fn what_has_not_finished_may_yet_come_right() {
        let running = |printed: &str, words: &str| {
            assert_eq!(verdict(printed), Verdict::Running(words.to_owned()), "{printed}");
        };
        running(r#"{"v1": {"stage": "modules-config", "init": {}}}"#, "cloud-init is in its stage `modules-config`");
        running(r#"{"v1": {"stage": null}}"#, "cloud-init is between two stages");
        running("\"early\"", "cloud-init has not begun");
        running(r#"{"v1": {"err"#, "cloud-init has not said yet what it does");
        running("", "cloud-init has not said yet what it does");
    }

    #[test]
    fn what_will_never_begin_has_failed() {
        assert_eq!(verdict("\"disabled\"\n"), failed("cloud-init is switched off in this guest"));
        assert_eq!(verdict("\"absent\"\n"), failed("there is no cloud-init in this guest"));
    }
}
