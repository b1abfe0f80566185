//! Healthchecks: which probes, and with how much patience.
//!
//! Owns the defaults and what a healthcheck must have. Carries none out.

use super::probe::{self, Asked, Context};
use super::{Instance, Scope};
use crate::compose::decode::At;
use crate::compose::diagnostic::Diagnostic;
use crate::compose::schema::health::Healthcheck as File;
use crate::compose::schema::vm;
use crate::model::{Healthcheck, Probe};
use crate::units::Span;

/// The healthcheck of a vm. `addressed` is whether it has an address that a probe can go to.
pub(super) fn lower(
    scope: &Scope<'_>,
    instance: &Instance<vm::Vm>,
    addressed: bool,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<Healthcheck> {
    let check = instance.spec.healthcheck.as_ref().filter(|check| check.disable != Some(true))?;
    let context = Context { scope, instance, addressed };
    let probes = probes(&context, check, mistakes);
    let mut at_least_one = |key: &str, number: Option<&At<u32>>, default: u32| {
        number.map_or(default, |number| {
            if number.value == 0 {
                mistakes
                    .push(Diagnostic::error(format!("`{key}` must be at least 1")).at(number.place, "never healthy"));
            }
            number.value
        })
    };
    let retries = at_least_one("retries", check.retries.as_ref(), Healthcheck::RETRIES);
    let success_threshold = at_least_one("success_threshold", check.success_threshold.as_ref(), 1);
    let boot = if probes.contains(&Probe::CloudInit) { Healthcheck::FIRST_BOOT } else { Healthcheck::START_PERIOD };
    Some(Healthcheck {
        probes,
        interval: positive("interval", check.interval.as_ref(), Healthcheck::INTERVAL, mistakes),
        timeout: positive("timeout", check.timeout.as_ref(), Healthcheck::TIMEOUT, mistakes),
        retries,
        start_period: check.start_period.as_ref().map_or(boot, |span| span.value),
        start_interval: more_than_nothing("start_interval", check.start_interval.as_ref(), mistakes),
        success_threshold,
        deadline: more_than_nothing("deadline", check.deadline.as_ref(), mistakes),
    })
}

/// Whether a vm of the file will have a healthcheck.
pub(super) fn present(vm: &vm::Vm) -> bool {
    vm.lost.health || vm.healthcheck.as_ref().is_some_and(|check| check.disable != Some(true))
}

fn positive(key: &str, span: Option<&At<Span>>, default: Span, mistakes: &mut Vec<Diagnostic>) -> Span {
    more_than_nothing(key, span, mistakes).unwrap_or(default)
}

fn more_than_nothing(key: &str, span: Option<&At<Span>>, mistakes: &mut Vec<Diagnostic>) -> Option<Span> {
    let span = span?;
    if span.value.0.is_zero() {
        mistakes.push(Diagnostic::error(format!("`{key}` must be more than nothing")).at(span.place, "zero"));
    }
    Some(span.value)
}

fn probes(context: &Context<'_>, check: &At<File>, mistakes: &mut Vec<Diagnostic>) -> Vec<Probe> {
    let direct = Asked::directly(check);
    let places = direct.places();
    if let (Some(several), Some(place)) = (&check.probes, places.first()) {
        let both = Diagnostic::error("a healthcheck has either one probe or a list of `probes`");
        mistakes.push(both.at(*place, "one probe").and(several.place, "several").hint("move it into the list"));
    }
    let mut probes = probe::lower(context, &direct, check.place, check.probes.is_none(), mistakes);
    for listed in check.probes.iter().flat_map(|probes| &probes.value) {
        probes.extend(probe::lower(context, &Asked::listed(listed), listed.place, true, mistakes));
    }
    if let Some(empty) = check.probes.as_ref().filter(|list| list.is_empty()) {
        mistakes.push(
            Diagnostic::error("`probes` must not be empty")
                .at(empty.place, "nothing to try")
                .unless_wrong_within(empty.place),
        );
    }
    probes
}
