//! The tour as a table for people.

use super::tour::Step;

const HEAD: [&str; 6] = ["", "step", "request", "answer", "reason", "expected"];

/// One row a step: what was asked, what was answered, why, and whether that was right.
pub(super) fn render(steps: &[Step]) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(steps.iter().map(row));
    let widths: [usize; 6] = std::array::from_fn(|column| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    });
    rows.insert(1, widths.map(|width| "-".repeat(width)));
    rows.iter().map(|row| line(row, &widths)).collect::<Vec<_>>().join("\n")
}

fn row(step: &Step) -> [String; 6] {
    [
        if step.came_out() { "ok" } else { "!!" }.to_owned(),
        step.title.to_owned(),
        step.request.clone(),
        step.status.to_string(),
        step.reason.clone(),
        format!("{} {}", step.expected.0, step.expected.1),
    ]
}

fn line(row: &[String; 6], widths: &[usize; 6]) -> String {
    let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    cells.join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::demo::tour::Step;

    #[test]
    fn columns_line_up_and_a_wrong_answer_is_marked() {
        let step = |title, status, reason: &str| Step {
            title,
            request: "GET /orders/7".into(),
            status,
            reason: reason.into(),
            expected: (401, "token_missing"),
        };
        let table = render(&[step("no token", 401, "token_missing"), step("nothing at all", 200, "allowed")]);
        let expected = "
    step            request        answer  reason         expected
--  --------------  -------------  ------  -------------  -----------------
ok  no token        GET /orders/7  401     token_missing  401 token_missing
!!  nothing at all  GET /orders/7  200     allowed        401 token_missing";
        assert_eq!(format!("\n{table}"), expected);
    }
}
