//! Rows of a figure: each with a name, what is told of it, and something drawn over a common axis.

use super::canvas::{Anchor, Canvas, fit};

/// Rows from which names stand beside what is drawn and no longer above it.
const COMPACT_FROM: usize = 9;
/// Room for names on the left and for what is told on the right, in pixels.
const GUTTERS_PX: (f64, f64) = (272.0, 222.0);

/// Where the parts of rows stand.
pub(super) struct Rows {
    /// Where what is drawn begins and ends.
    pub plot: (f64, f64),
    /// Height of a row.
    pub height: f64,
    is_compact: bool,
    right: f64,
}

impl Rows {
    /// For `n` rows, in each of which something of height `content` is drawn.
    pub fn new(canvas: &Canvas, n: usize, content: f64) -> Self {
        let right = canvas.width - 12.0;
        let is_compact = canvas.is_wide() && n >= COMPACT_FROM;
        let (plot, height) = match (is_compact, canvas.is_wide()) {
            (true, _) => ((GUTTERS_PX.0, canvas.width - GUTTERS_PX.1), content + 10.0),
            (false, true) => ((8.0, right), content + 34.0),
            (false, false) => ((8.0, right), content + 50.0),
        };
        Self { plot, height, is_compact, right }
    }

    /// Writes the name of the row at `top` and what is told of it; gives where what is drawn begins.
    pub fn head(&self, canvas: &mut Canvas, top: f64, name: &str, told: &str) -> f64 {
        let width = self.right - 8.0;
        if self.is_compact {
            let base = top + self.height / 2.0 + 4.0;
            canvas.text_within((8.0, base), GUTTERS_PX.0 - 28.0, "strong", name);
            canvas.text_within((self.plot.1 + 20.0, base), GUTTERS_PX.1 - 20.0, "muted", told);
            return top + 5.0;
        }
        if canvas.is_wide() {
            canvas.text_within((8.0, top + 16.0), width * 0.5, "strong halo", name);
            let told = fit(told, width * 0.48, 12.0);
            canvas.text((self.right, top + 16.0), Anchor::End, "muted halo", &told);
            return top + 25.0;
        }
        canvas.text_within((8.0, top + 16.0), width, "strong halo", name);
        canvas.text_within((8.0, top + 32.0), width, "muted halo", told);
        top + 41.0
    }
}
