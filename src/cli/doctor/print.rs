//! Findings for people, for programs, and for code scanning (SARIF 2.1.0).

use serde_json::{Value, json};

use crate::cli::args::FindingsFormat;
use crate::cli::out::Out;
use crate::doctor::{Finding, Rule, Severity};

use super::count;
use super::source::Document;

/// Prints them, the gravest first.
pub(super) fn print(findings: &[Finding], document: &Document, format: FindingsFormat) {
    match format {
        FindingsFormat::Text => text(findings, document),
        FindingsFormat::Json => Out.line(&format!("{:#}", json_of(findings, document))),
        FindingsFormat::Sarif => Out.line(&format!("{:#}", sarif(findings, document))),
    }
}

fn text(findings: &[Finding], document: &Document) {
    for finding in findings {
        let rule = finding.rule;
        let at = document.locate(&finding.path).map(|(line, column)| format!(":{line}:{column}"));
        let at = format!("{}{}", document.name, at.unwrap_or_default());
        Out.line(&format!("{}: {}: {}", rule.severity().as_str(), rule.id(), finding.place));
        Out.line(&format!("  {}", finding.found));
        Out.line(&format!("  at {at} {}", finding.path));
        Out.line(&format!("  {}\n", rule.remedy()));
    }
    let [errors, warnings, notes] =
        [Severity::Error, Severity::Warning, Severity::Note].map(|severity| count(findings, severity));
    Out.line(&format!("{errors} errors, {warnings} warnings, {notes} notes in {}", document.name));
}

fn json_of(findings: &[Finding], document: &Document) -> Value {
    let entry = |finding: &Finding| {
        let (line, column) = document.locate(&finding.path).unzip();
        json!({
            "rule": finding.rule.id(),
            "severity": finding.rule.severity().as_str(),
            "place": finding.place,
            "path": finding.path.to_string(),
            "found": finding.found,
            "remedy": finding.rule.remedy(),
            "line": line,
            "column": column,
        })
    };
    json!({
        "source": document.name,
        "errors": count(findings, Severity::Error),
        "warnings": count(findings, Severity::Warning),
        "notes": count(findings, Severity::Note),
        "findings": findings.iter().map(entry).collect::<Vec<_>>(),
    })
}

fn sarif(findings: &[Finding], document: &Document) -> Value {
    let rules = Rule::ALL.iter().map(|rule| {
        json!({
            "id": rule.id(),
            "shortDescription": {"text": rule.summary()},
            "help": {"text": rule.remedy()},
            "defaultConfiguration": {"level": rule.severity().as_str()},
        })
    });
    let result = |finding: &Finding| {
        let artifact = json!({"uri": document.name});
        let physical = match document.locate(&finding.path) {
            Some((line, column)) => {
                json!({"artifactLocation": artifact, "region": {"startLine": line, "startColumn": column}})
            }
            None => json!({"artifactLocation": artifact}),
        };
        json!({
            "ruleId": finding.rule.id(),
            "level": finding.rule.severity().as_str(),
            "message": {"text": format!("{}: {}; {}", finding.place, finding.found, finding.rule.remedy())},
            "locations": [{
                "physicalLocation": physical,
                "logicalLocations": [{"fullyQualifiedName": finding.path.to_string()}],
            }],
        })
    };
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "entrance doctor",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.collect::<Vec<_>>(),
            }},
            "results": findings.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}
