//! What a person can try while the demo stays up: lines to paste into a shell.

use super::files::POLICY;
use super::stack::Stack;

/// The lines.
pub(super) fn text(stack: &Stack) -> String {
    let mint = format!("{}/_emulator/mint", stack.emulator.base_url());
    let url = format!("http://{}", stack.proxy);
    let admin = stack.admin;
    let ask = |path: &str| format!("curl -si -H 'Host: orders.example.com' {url}{path}");
    let bearer = |order: &str| format!("-H \"Authorization: Bearer $(token '{order}')\"");
    let lines = [
        "It stays up until Ctrl-C. Paste into another terminal:".to_owned(),
        String::new(),
        format!(
            "token() {{ curl -s {mint} -H 'Content-Type: application/json' -d \"$1\" | sed 's/.*\"token\":\"\\([^\"]*\\)\".*/\\1/'; }}"
        ),
        String::new(),
        "# no token: 401".to_owned(),
        ask("/orders/7"),
        "# bob may read: 200, and the API sees who he is".to_owned(),
        format!("{} {}", ask("/orders/7"), bearer(r#"{"user":"bob"}"#)),
        "# but not create: 403".to_owned(),
        format!("{} {} -X POST", ask("/orders"), bearer(r#"{"user":"bob"}"#)),
        "# a job is a caller of its own right: 200".to_owned(),
        format!("{} {} -X POST", ask("/jobs/nightly"), bearer(r#"{"base":"workload","client":"job"}"#)),
        "# change a rule and ask again".to_owned(),
        format!("\"${{EDITOR:-vi}}\" '{}'", stack.policies.join(POLICY).display()),
        "# what was decided, what is enforced, what was counted".to_owned(),
        format!("tail -n 5 '{}'", stack.audit.display()),
        format!("curl -s http://{admin}/debug/snapshot"),
        format!("curl -s http://{admin}/metrics"),
    ];
    lines.join("\n")
}
