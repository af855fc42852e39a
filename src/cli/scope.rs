//! Which policies apply here: `--pin-host`, `--workload-namespace` and `--workload-label` as the compiler takes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::settings::{Scope, Settings};
use crate::policy::host::HostPattern;
use crate::token::KeySet;

use super::UsageError;
use super::args::ScopeArgs;

/// The compiler's settings; with `keys`, no application's own keys count.
pub(super) fn settings(args: &ScopeArgs, keys: Option<KeySet>) -> Result<Settings, UsageError> {
    Ok(Settings { scope: scope(args)?, pins: pins(&args.pins)?, keys })
}

fn scope(args: &ScopeArgs) -> Result<Scope, UsageError> {
    let Some(namespace) = &args.workload_namespace else { return Ok(Scope::Gateway) };
    let mut labels = BTreeMap::new();
    for text in &args.workload_labels {
        let (key, value) = pair("--workload-label", text, "KEY=VALUE")?;
        if labels.insert(key.to_owned(), value.to_owned()).is_some_and(|other| other != value) {
            return Err(UsageError::new(format!("--workload-label: `{key}` has two values; give it one")));
        }
    }
    Ok(Scope::Workload { namespace: namespace.as_str().into(), labels })
}

/// Hosts that belong to a namespace.
pub(super) fn pins(texts: &[String]) -> Result<BTreeMap<HostPattern, Arc<str>>, UsageError> {
    let mut pins = BTreeMap::new();
    for text in texts {
        let (host, namespace) = pair("--pin-host", text, "HOST=NAMESPACE")?;
        let pattern = HostPattern::parse(host)
            .map_err(|fault| UsageError::new(format!("--pin-host: the host `{host}` {fault}")))?;
        let namespace: Arc<str> = namespace.into();
        if pins.insert(pattern, Arc::clone(&namespace)).is_some_and(|other| other != namespace) {
            return Err(UsageError::new(format!("--pin-host: `{host}` is given to two namespaces; give it to one")));
        }
    }
    Ok(pins)
}

fn pair<'t>(flag: &str, text: &'t str, form: &str) -> Result<(&'t str, &'t str), UsageError> {
    let pair = text.split_once('=').filter(|(left, right)| !left.is_empty() && !right.is_empty());
    pair.ok_or_else(|| UsageError::new(format!("{flag}: `{text}` is not of the form {form}")))
}

#[cfg(test)]
mod tests {
    use super::settings;
    use crate::api::settings::Scope;
    use crate::cli::args::ScopeArgs;

    fn args(pins: &[&str], namespace: Option<&str>, labels: &[&str]) -> ScopeArgs {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        ScopeArgs {
            pins: owned(pins),
            workload_namespace: namespace.map(str::to_owned),
            workload_labels: owned(labels),
        }
    }

    #[test]
    fn nothing_said_is_a_gateway_without_pins() {
        let settings = settings(&args(&[], None, &[]), None).unwrap();
        assert_eq!(settings.scope, Scope::Gateway);
        assert!(settings.pins.is_empty() && settings.keys.is_none());
    }

    #[test]
    fn a_workload_has_its_namespace_and_labels() {
        let settings =
            settings(&args(&["*.example.com=shop"], Some("shop"), &["app=orders", "tier=web"]), None).unwrap();
        let labels = [("app".to_owned(), "orders".to_owned()), ("tier".to_owned(), "web".to_owned())].into();
        assert_eq!(settings.scope, Scope::Workload { namespace: "shop".into(), labels });
        let pins: Vec<_> = settings.pins.iter().map(|(host, to)| (host.to_string(), to.to_string())).collect();
        assert_eq!(pins, [("*.example.com".to_owned(), "shop".to_owned())]);
    }

    #[test]
    fn what_is_not_a_pair_or_contradicts_itself_is_refused() {
        for (pins, labels, part) in [
            (&["orders"][..], &[][..], "HOST=NAMESPACE"),
            (&["or*ders.example.com=shop"], &[], "wildcard"),
            (&["a.example.com=shop", "A.example.com=billing"], &[], "two namespaces"),
            (&[], &["app"], "KEY=VALUE"),
            (&[], &["app=a", "app=b"], "two values"),
        ] {
            let error = settings(&args(pins, Some("shop"), labels), None).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
