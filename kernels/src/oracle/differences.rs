//! Slopes of functions, by which gradients are judged.

/// The gradient of `f` at `x` by central differences of width `2e-5`: errors near `1e-9` in `f64`.
pub fn central_differences(x: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let step = 1e-5;
    let mut moved = x.to_vec();
    (0..x.len())
        .map(|at| {
            let mut value_at = |value: f64| {
                moved[at] = value;
                f(&moved)
            };
            let slope = (value_at(x[at] + step) - value_at(x[at] - step)) / (2.0 * step);
            moved[at] = x[at];
            slope
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn central_differences_find_the_slope_of_a_cubic() {
        let slope = central_differences(&[2.0, 3.0], |x| x[0].powi(3) + x[1]);
        assert!((slope[0] - 12.0).abs() < 1e-8 && (slope[1] - 1.0).abs() < 1e-8);
    }
}
