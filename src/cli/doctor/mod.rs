//! `entrance doctor`: what is unsafe or missing in the configuration of an Envoy.

mod print;
mod source;

use std::cmp::Reverse;

use crate::doctor::{self, Finding, Rule, Severity};

use super::args::DoctorArgs;
use super::{Outcome, UsageError};

use source::Document;

/// Examines it; 1 if there is a fault.
pub(super) fn run(args: &DoctorArgs) -> Result<Outcome, UsageError> {
    let ignored = args.ignore.iter().map(|name| rule(name)).collect::<Result<Vec<_>, _>>()?;
    let document = Document::read(&args.source)?;
    let mut findings = doctor::examine_for(&document.body, &args.authorizer)
        .map_err(|unfit| UsageError::new(format!("`{}` {unfit}", document.name)))?;
    findings.retain(|finding| !ignored.contains(&finding.rule));
    findings.sort_by_key(|finding| Reverse(finding.rule.severity()));
    print::print(&findings, &document, args.output);
    let worst = findings.iter().map(|finding| finding.rule.severity()).max();
    let bar = if args.strict { Severity::Warning } else { Severity::Error };
    Ok(if worst.is_some_and(|worst| worst >= bar) { Outcome::Refused } else { Outcome::Done })
}

fn rule(name: &str) -> Result<Rule, UsageError> {
    Rule::ALL.iter().copied().find(|rule| rule.id() == name).ok_or_else(|| {
        let known: Vec<_> = Rule::ALL.iter().map(|rule| rule.id()).collect();
        UsageError::new(format!("--ignore: there is no rule `{name}`; there are {}", known.join(", ")))
    })
}

/// How many findings there are of a severity.
fn count(findings: &[Finding], severity: Severity) -> usize {
    findings.iter().filter(|finding| finding.rule.severity() == severity).count()
}
