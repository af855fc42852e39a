//! What `check` and `token inspect` say, for people and for machines.

use std::str::FromStr;

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::authorize::ports::Outcome as Decided;
use crate::identity::Caller;
use crate::policy::decide::Matched;
use crate::policy::explain::Step;
use crate::reason::ReasonCode;

use super::Outcome;
use super::out::Out;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// The stage of the step that says what was decided.
const CONCLUSION: &str = "decision";

/// What a decision should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// This, for whatever reason.
    Outcome(Decided),
    /// For this reason.
    Reason(ReasonCode),
}

impl FromStr for Expected {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let outcomes = [Decided::Allow, Decided::Deny, Decided::Unavailable].into_iter();
        if let Some(outcome) = outcomes.into_iter().find(|outcome| outcome.code() == text) {
            return Ok(Self::Outcome(outcome));
        }
        let reason = ReasonCode::ALL.iter().find(|reason| reason.code() == text);
        let reason = reason.copied().map(Self::Reason);
        reason.ok_or_else(|| "expected `allow`, `deny`, `unavailable` or a reason code of docs/reasons.md".to_owned())
    }
}

/// A decision, ready to be printed.
pub(super) struct Report {
    pub(super) outcome: Decided,
    /// The HTTP status; 200 if the request goes through.
    pub(super) status: u16,
    /// The permit's cause or the reason code.
    pub(super) reason: &'static str,
    /// What the reason means, and what else is known.
    pub(super) explanation: String,
    pub(super) caller: Option<Value>,
    /// Which rules decided; `None` if no rules were asked.
    pub(super) ruled: Option<Ruled>,
    pub(super) trace: Vec<Step>,
}

/// Which rules decided.
pub(super) struct Ruled {
    pub(super) matched: Option<Matched>,
    pub(super) generation: u64,
}

impl Report {
    /// Adds the step that says what was decided.
    pub(super) fn conclude(mut self) -> Self {
        let outcome = format!("{}: {}", self.reason, self.explanation);
        self.trace.push(Step { stage: CONCLUSION, subject: self.outcome.code().to_owned(), outcome });
        self
    }

    /// Prints it; the exit code follows.
    pub(super) fn print(&self, format: Format) -> Outcome {
        match format {
            Format::Json => Out.line(&self.json().to_string()),
            Format::Text => Out.line(&self.text()),
        }
        match self.outcome {
            Decided::Allow => Outcome::Done,
            Decided::Deny | Decided::Unavailable => Outcome::Refused,
        }
    }

    /// Says on standard error if the decision is not the one that was expected; the exit code follows.
    pub(super) fn compare(&self, expected: Expected) -> Outcome {
        let (same, wanted) = match expected {
            Expected::Outcome(outcome) => (self.outcome == outcome, outcome.code()),
            Expected::Reason(reason) => (self.reason == reason.code(), reason.code()),
        };
        if same {
            return Outcome::Done;
        }
        Out.complain(&format!(
            "error: expected `{wanted}`, the decision is `{}`: {}",
            self.outcome.code(),
            self.reason
        ));
        Outcome::Refused
    }

    fn json(&self) -> Value {
        let steps = self.trace.iter();
        let step = |step: &Step| json!({"stage": step.stage, "subject": step.subject, "outcome": step.outcome});
        let mut report = Map::new();
        report.insert("decision".into(), self.outcome.code().into());
        report.insert("status".into(), self.status.into());
        report.insert("reason".into(), self.reason.into());
        report.insert("caller".into(), self.caller.clone().unwrap_or_default());
        report.insert("trace".into(), steps.map(step).collect());
        if let Some(Ruled { matched, generation }) = &self.ruled {
            let matched = matched.as_ref();
            report.insert("policy".into(), matched.map(|matched| matched.policy.to_string()).into());
            report.insert("route".into(), matched.map(|matched| &*matched.route).into());
            report.insert("clause".into(), matched.and_then(|matched| matched.clause.as_deref()).into());
            report.insert("generation".into(), (*generation).into());
        }
        Value::Object(report)
    }

    fn text(&self) -> String {
        let decision = self.outcome.code().to_ascii_uppercase();
        let mut lines = vec![format!("{decision} {} {}: {}", self.status, self.reason, self.explanation)];
        if let Some(Ruled { matched: Some(matched), .. }) = &self.ruled {
            let clause = matched.clause.as_deref().map(|clause| format!(", {clause}")).unwrap_or_default();
            lines.push(format!("  decided by  {}, route {}{clause}", matched.policy, matched.route));
        }
        if let Some(caller) = &self.caller {
            lines.push(format!("  caller      {}", sentence(caller)));
        }
        lines.push(String::new());
        // The last step is the first line.
        let steps = self.trace.iter().filter(|step| step.stage != CONCLUSION);
        lines.extend(steps.map(|step| format!("  {:<12}{}: {}", step.stage, step.subject, step.outcome)));
        lines.join("\n")
    }
}

/// A caller as the report shows it.
pub(super) fn caller(caller: &Caller) -> Value {
    json!({
        "tenant": caller.tenant.to_string(),
        "subject": caller.subject,
        "client": caller.client,
        "kind": caller.kind.as_str(),
        "roles": caller.roles,
        "scopes": caller.scopes,
    })
}

fn sentence(caller: &Value) -> String {
    let text = |name: &str| caller.get(name).and_then(Value::as_str).unwrap_or_default();
    let list = |name: &str| {
        let items = caller.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let items: Vec<_> = items.collect();
        if items.is_empty() { String::new() } else { format!("; {name} {}", items.join(", ")) }
    };
    let (kind, subject, client, tenant) = (text("kind"), text("subject"), text("client"), text("tenant"));
    format!("{kind} {subject}, client {client}, tenant {tenant}{}{}", list("roles"), list("scopes"))
}
