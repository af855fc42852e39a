//! The tour as a table for people.

use super::tour::Step;

/// One row a step: what was asked, what was answered, why, and whether that was right.
pub(super) fn render(steps: &[Step]) -> String {
    let mut rows = vec![row(["", "step", "request", "answer", "reason", "expected"].map(str::to_owned))];
    rows.extend(steps.iter().map(|step| {
        row([
            if step.came_out() { "ok" } else { "!!" }.to_owned(),
            step.title.to_owned(),
            step.request.clone(),
            step.status.to_string(),
            step.reason.clone(),
            format!("{} {}", step.expected.0, step.expected.1),
        ])
    }));
    let widths: Vec<usize> = (0..6)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn row(cells: [String; 6]) -> Vec<String> {
    cells.into()
}
