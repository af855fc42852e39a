//! The custom resource definitions of the chart: what `entrance crds` prints, a file for each.

use std::process::Command;

/// Files of the chart and what they hold.
pub(crate) fn files() -> Vec<(String, String)> {
    let printed = Command::new(env!("CARGO_BIN_EXE_entrance")).arg("crds").output().unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let text = String::from_utf8(printed.stdout).unwrap();
    let documents: Vec<&str> = text.split("---\n").filter(|document| !document.is_empty()).collect();
    documents.into_iter().map(|document| (file(document), format!("---\n{document}"))).collect()
}

fn file(document: &str) -> String {
    // Helm would take it for an expression.
    assert!(!document.contains("{{"), "{document}");
    let name = document.lines().find_map(|line| line.strip_prefix("  name: ")).unwrap();
    format!("charts/entrance-crds/templates/{}.yaml", name.trim_matches('"').split('.').next().unwrap())
}
