//! The verdict for people, for programs, and for code scanning (SARIF 2.1.0). No token is in any of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::bypass::family::Family;
use crate::bypass::judge::{Breach, Counts, Finding, Verdict};
use crate::bypass::plan::{self, Lack, Untried};
use crate::bypass::settings::Settings;
use crate::cli::args::FindingsFormat;
use crate::cli::out::Out;

/// Prints it.
pub(super) fn print(verdict: &Verdict, settings: &Settings, format: FindingsFormat) {
    match format {
        FindingsFormat::Text => text(verdict, settings),
        FindingsFormat::Json => Out.line(&format!("{:#}", json_of(verdict, settings))),
        FindingsFormat::Sarif => Out.line(&format!("{:#}", sarif(verdict, settings))),
    }
}

fn name(finding: &Finding) -> (&'static str, &str) {
    finding.trick.as_ref().map_or((Breach::Stray.id(), "no trick"), |(family, name)| (family.id(), name))
}

/// Where it arrived. A token may be in the target.
fn arrived(finding: &Finding, settings: &Settings) -> String {
    let shown = format!("`{}` as {}", finding.arrival.resource, finding.arrival.shown);
    settings.tokens.hide(&shown)
}

fn text(verdict: &Verdict, settings: &Settings) {
    for finding in &verdict.findings {
        let (family, trick) = name(finding);
        Out.line(&format!("bypass: {family}: {trick}"));
        Out.line(&format!("  {}", finding.breach.about()));
        Out.line(&format!("  arrived at {}", arrived(finding, settings)));
        if !finding.sent.is_empty() {
            Out.line(&format!("  {} to {}", finding.answered, finding.sent));
        }
        Out.line("");
    }
    Out.line(&row(
        "family",
        ["sent", "proxy", "authorizer", "upstream", "open", "permitted", "bypassed"].map(str::to_owned),
    ));
    for (family, counts) in &verdict.counts {
        Out.line(&row(family.id(), columns(*counts).map(|(_, count)| count.to_string())));
    }
    let total = total(verdict);
    Out.line(&row("all", columns(total).map(|(_, count)| count.to_string())));
    Out.line("");
    untried(&verdict.untried).iter().for_each(|line| Out.line(line));
    if let Some(doubt) = &verdict.doubt {
        Out.line(&format!("there may be more: {doubt}"));
    }
    Out.line(&format!("{} bypasses with {} tricks", verdict.findings.len(), total.sent));
}

/// What was not tried, a line for each reason.
pub(super) fn untried(all: &[Untried]) -> Vec<String> {
    let mut by_lack: BTreeMap<Lack, Vec<String>> = BTreeMap::new();
    for Untried { family, what, lack } in all {
        let part = if what == plan::ALL { String::new() } else { format!(" ({what})") };
        by_lack.entry(*lack).or_default().push(format!("{}{part}", family.id()));
    }
    by_lack.iter().map(|(lack, what)| format!("not tried: {}: {}", what.join(", "), lack.about())).collect()
}

fn row(first: &str, rest: [String; 7]) -> String {
    let rest: String = rest.iter().map(|cell| format!("{cell:>11}")).collect();
    format!("{first:<16}{rest}")
}

fn columns(counts: Counts) -> [(&'static str, usize); 7] {
    let Counts { sent, by_authorizer, by_proxy, by_upstream, open, permitted, bypassed } = counts;
    [
        ("sent", sent),
        ("refused_by_proxy", by_proxy),
        ("refused_by_authorizer", by_authorizer),
        ("refused_by_upstream", by_upstream),
        ("reached_open", open),
        ("permitted_only", permitted),
        ("bypassed", bypassed),
    ]
}

fn total(verdict: &Verdict) -> Counts {
    let add = |all: Counts, one: &Counts| Counts {
        sent: all.sent.saturating_add(one.sent),
        by_authorizer: all.by_authorizer.saturating_add(one.by_authorizer),
        by_proxy: all.by_proxy.saturating_add(one.by_proxy),
        by_upstream: all.by_upstream.saturating_add(one.by_upstream),
        open: all.open.saturating_add(one.open),
        permitted: all.permitted.saturating_add(one.permitted),
        bypassed: all.bypassed.saturating_add(one.bypassed),
    };
    verdict.counts.values().fold(Counts::default(), add)
}

fn json_of(verdict: &Verdict, settings: &Settings) -> Value {
    let counted = |counts: Counts| columns(counts).map(|(name, count)| (name.to_owned(), json!(count)));
    let counted = |counts: Counts| Value::Object(counted(counts).into_iter().collect());
    let finding = |finding: &Finding| {
        let (family, trick) = name(finding);
        json!({
            "breach": finding.breach.id(),
            "family": family,
            "trick": trick,
            "sent": finding.sent,
            "answered": finding.answered,
            "arrived": arrived(finding, settings),
        })
    };
    let left_out =
        |Untried { family, what, lack }: &Untried| json!({"family": family.id(), "what": what, "why": lack.about()});
    let families = verdict.counts.iter().map(|(family, counts)| (family.id().to_owned(), counted(*counts)));
    json!({
        "target": settings.target.to_string(),
        "bypasses": verdict.findings.len(),
        "families": families.collect::<serde_json::Map<_, _>>(),
        "total": counted(total(verdict)),
        "not_tried": verdict.untried.iter().map(left_out).collect::<Vec<_>>(),
        "doubt": verdict.doubt,
        "findings": verdict.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

fn sarif(verdict: &Verdict, settings: &Settings) -> Value {
    let rule = |id: &str, about: &str| json!({"id": id, "shortDescription": {"text": about}, "defaultConfiguration": {"level": "error"}});
    let rules = Family::ALL.iter().map(|family| rule(family.id(), family.about()));
    let stray = rule(Breach::Stray.id(), Breach::Stray.about());
    let result = |finding: &Finding| {
        let (family, trick) = name(finding);
        let about = finding.breach.about();
        json!({
            "ruleId": family,
            "level": "error",
            "message": {"text": format!("{trick}: {about}: {}", arrived(finding, settings))},
            "locations": [{"logicalLocations": [{"fullyQualifiedName": format!("{family}/{trick}")}]}],
        })
    };
    let notice = |text: String| json!({"level": "warning", "message": {"text": text}});
    let notices = untried(&verdict.untried).into_iter().chain(verdict.doubt.clone());
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "entrance bypass",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.chain([stray]).collect::<Vec<_>>(),
            }},
            "invocations": [{
                "executionSuccessful": true,
                "toolExecutionNotifications": notices.map(notice).collect::<Vec<_>>(),
            }],
            "results": verdict.findings.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}
