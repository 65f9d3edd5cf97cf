//! Medians, and lines of figures.

/// The figure that so many percent of all do not exceed; not a number when there is none.
pub(crate) fn percentile(figures: &[f64], percent: usize) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
        .get((sorted.len().saturating_sub(1) * percent + 50) / 100)
        .copied()
        .unwrap_or(f64::NAN)
}

/// One line of the table of Cairn alone.
pub(crate) fn row(name: &str, figure: f64, floor: &str) {
    let digits = if figure < 100.0 { 2 } else { 0 };
    println!("{name:<58} {figure:>12.digits$}   {floor}");
}
