//! The Prometheus text format, version 0.0.4.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::reason::{DenyStatus, ReasonCode};

use super::histogram::BOUNDS;
use super::{CAUSES, Gauges, Metrics, SHADOW};

/// The content type of [`render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics as text. Every series is there from the start, at zero.
#[must_use]
pub fn render(metrics: &Metrics, gauges: &Gauges) -> String {
    let mut page = String::with_capacity(16 * 1024);
    // writing to a string cannot fail; a page that ends early would be noticed by its reader
    if write_all(metrics, gauges, &mut page).is_err() {
        page.clear();
    }
    page
}

fn write_all(metrics: &Metrics, gauges: &Gauges, page: &mut String) -> fmt::Result {
    write_decisions(metrics, page)?;
    write_durations(metrics, page)?;
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);

    let mut family = Family::new(page, "entrance_shadow_decisions_total", COUNTER)?;
    family.help("Decisions of shadow policies, by outcome.")?;
    for (outcome, counter) in SHADOW.iter().zip(&metrics.shadow) {
        family.sample(&[("outcome", outcome)], &read(counter))?;
    }
    let mut family = Family::new(page, "entrance_token_cache_total", COUNTER)?;
    family.help("Tokens looked at, by whether they were remembered from an earlier request.")?;
    family.sample(&[("result", "hit")], &read(&metrics.token_hits))?;
    family.sample(&[("result", "miss")], &read(&metrics.token_misses))?;
    let mut family = Family::new(page, "entrance_panics_total", COUNTER)?;
    family.help("Panics caught in one check and answered with 503.")?;
    family.sample(&[], &read(&metrics.panics))?;
    let mut family = Family::new(page, "entrance_audit_records_total", COUNTER)?;
    family.help("Audit records, by whether they were written.")?;
    family.sample(&[("result", "written")], &read(&metrics.audit_written))?;
    family.sample(&[("result", "lost")], &read(&metrics.audit_lost))?;
    let mut family = Family::new(page, "entrance_checks_waiting", GAUGE)?;
    family.help("Checks that wait for signing keys.")?;
    family.sample(&[], &read(&metrics.waiting))?;
    write_gauges(gauges, page)
}

fn write_decisions(metrics: &Metrics, page: &mut String) -> fmt::Result {
    let mut family = Family::new(page, "entrance_decisions_total", COUNTER)?;
    family.help("Decisions, by outcome and reason.")?;
    for (cause, counter) in CAUSES.iter().zip(&metrics.permits) {
        let labels = [("outcome", "allow"), ("reason", *cause)];
        family.sample(&labels, &counter.load(Ordering::Relaxed))?;
    }
    for (reason, counter) in ReasonCode::ALL.iter().zip(&metrics.refusals) {
        let outcome = match reason.status() {
            DenyStatus::BadRequest | DenyStatus::Unauthorized | DenyStatus::Forbidden => "deny",
            DenyStatus::Unavailable => "unavailable",
        };
        let labels = [("outcome", outcome), ("reason", reason.code())];
        family.sample(&labels, &counter.load(Ordering::Relaxed))?;
    }
    Ok(())
}

fn write_durations(metrics: &Metrics, page: &mut String) -> fmt::Result {
    let totals = metrics.durations.totals();
    let name = "entrance_decision_duration_seconds";
    Family::new(page, name, "histogram")?.help("Time from a whole check to its answer, without the network.")?;
    for ((_, bound), count) in BOUNDS.iter().zip(totals.cumulative) {
        writeln!(page, "{name}_bucket{{le=\"{bound}\"}} {count}")?;
    }
    writeln!(page, "{name}_bucket{{le=\"+Inf\"}} {}", totals.count)?;
    writeln!(page, "{name}_sum {}", totals.sum)?;
    writeln!(page, "{name}_count {}", totals.count)
}

fn write_gauges(gauges: &Gauges, page: &mut String) -> fmt::Result {
    let mut family = Family::new(page, "entrance_snapshot_generation", GAUGE)?;
    family.help("Generation of the policies in force; 0 before the first.")?;
    family.sample(&[], &gauges.generation.unwrap_or(0))?;
    let mut family = Family::new(page, "entrance_remembered_tokens", GAUGE)?;
    family.help("Verified tokens that are remembered.")?;
    family.sample(&[], &gauges.remembered_tokens)?;
    let mut family = Family::new(page, "entrance_keys_usable", GAUGE)?;
    family.help("Signing keys that may be used, by source.")?;
    for source in &gauges.keys {
        family.sample(&[("source", &source.source)], &source.usable)?;
    }
    let mut family = Family::new(page, "entrance_keys_age_seconds", GAUGE)?;
    family.help("Time since signing keys were fetched, by source; absent if they never were.")?;
    for source in &gauges.keys {
        if let Some(age) = source.age {
            family.sample(&[("source", &source.source)], &age.as_secs())?;
        }
    }
    write_listeners(gauges, page)?;
    let mut family = Family::new(page, "entrance_certificate_left_seconds", GAUGE)?;
    family.help("Time until the certificate of the webhook's port ends.")?;
    if let Some(left) = gauges.certificate {
        family.sample(&[], &left)?;
    }
    let mut family = Family::new(page, "entrance_build_info", GAUGE)?;
    family.help("Always 1; the version is in the label.")?;
    family.sample(&[("version", env!("CARGO_PKG_VERSION"))], &1)
}

fn write_listeners(gauges: &Gauges, page: &mut String) -> fmt::Result {
    let mut family = Family::new(page, "entrance_connections", GAUGE)?;
    family.help("Connections that are kept, by listener.")?;
    for one in &gauges.listeners {
        family.sample(&[("listener", &one.listener)], &one.open)?;
    }
    let mut family = Family::new(page, "entrance_connections_refused_total", COUNTER)?;
    family.help("Connections that were closed at once because there was no place for them, by listener.")?;
    for one in &gauges.listeners {
        family.sample(&[("listener", &one.listener)], &one.refused)?;
    }
    Ok(())
}

const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";

struct Family<'a> {
    page: &'a mut String,
    name: &'static str,
}

impl<'a> Family<'a> {
    fn new(page: &'a mut String, name: &'static str, kind: &str) -> Result<Self, fmt::Error> {
        writeln!(page, "# TYPE {name} {kind}")?;
        Ok(Self { page, name })
    }

    fn help(&mut self, text: &str) -> fmt::Result {
        writeln!(self.page, "# HELP {} {text}", self.name)
    }

    fn sample(&mut self, labels: &[(&str, &str)], value: &dyn fmt::Display) -> fmt::Result {
        self.page.push_str(self.name);
        for (at, (label, text)) in labels.iter().enumerate() {
            self.page.push(if at == 0 { '{' } else { ',' });
            self.page.push_str(label);
            self.page.push_str("=\"");
            for letter in text.chars() {
                match letter {
                    '\\' => self.page.push_str("\\\\"),
                    '"' => self.page.push_str("\\\""),
                    '\n' => self.page.push_str("\\n"),
                    other => self.page.push(other),
                }
            }
            self.page.push('"');
        }
        if !labels.is_empty() {
            self.page.push('}');
        }
        writeln!(self.page, " {value}")
    }
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::metrics::{Gauges, KeyGauge, ListenerGauge, Metrics};
    use std::collections::BTreeSet;
    use std::time::Duration;

    #[test]
    fn names_and_types_are_these_and_do_not_change() {
        let page = render(&Metrics::default(), &Gauges::default());
        let families: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert_eq!(
            families.into_iter().collect::<Vec<_>>(),
            [
                "entrance_audit_records_total counter",
                "entrance_build_info gauge",
                "entrance_certificate_left_seconds gauge",
                "entrance_checks_waiting gauge",
                "entrance_connections gauge",
                "entrance_connections_refused_total counter",
                "entrance_decision_duration_seconds histogram",
                "entrance_decisions_total counter",
                "entrance_keys_age_seconds gauge",
                "entrance_keys_usable gauge",
                "entrance_panics_total counter",
                "entrance_remembered_tokens gauge",
                "entrance_shadow_decisions_total counter",
                "entrance_snapshot_generation gauge",
                "entrance_token_cache_total counter",
            ]
        );
    }

    #[test]
    fn every_line_is_a_comment_or_a_sample_and_labels_are_escaped() {
        let gauges = Gauges {
            generation: Some(7),
            keys: vec![KeyGauge { source: "a\"b\\c\nd".into(), age: Some(Duration::from_secs(5)), usable: 2 }],
            remembered_tokens: 3,
            certificate: Some(-7),
            listeners: vec![ListenerGauge { listener: "unix:/a".into(), open: 2, refused: 9 }],
        };
        let page = render(&Metrics::default(), &gauges);
        for line in page.lines().filter(|line| !line.starts_with("# ")) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(series.starts_with("entrance_"), "{line}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
        assert!(page.contains("entrance_keys_usable{source=\"a\\\"b\\\\c\\nd\"} 2\n"));
        assert!(page.contains("entrance_snapshot_generation 7\n"));
        assert!(page.contains("entrance_certificate_left_seconds -7\n"));
        assert!(page.contains("entrance_connections{listener=\"unix:/a\"} 2\n"));
        assert!(page.contains("entrance_connections_refused_total{listener=\"unix:/a\"} 9\n"));
        assert!(page.contains("entrance_decisions_total{outcome=\"unavailable\",reason=\"keys_unavailable\"} 0\n"));
    }
}
