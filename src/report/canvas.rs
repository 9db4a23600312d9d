//! What figures are drawn with: an SVG that grows, in classes of the theme.

use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};

/// A drawing in the making. Lengths are in pixels of the SVG.
pub(super) struct Canvas {
    /// Its width.
    pub(super) width: f64,
    /// Its height; figures set it once they know.
    pub(super) height: f64,
    body: String,
    /// What ids in it begin with: those of a page differ.
    prefix: String,
    hatches: Vec<&'static str>,
}

/// Where a text stands to its point.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// What marks a point, so that colour is not needed to tell whose it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Marker {
    Circle,
    Square,
    Diamond,
    Triangle,
    Cross,
}

/// Lines over a colour, so that it is not needed to tell a span by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hatch {
    None,
    Rising,
    Falling,
    Upright,
    Dots,
}

impl Hatch {
    const fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Rising => "rising",
            Self::Falling => "falling",
            Self::Upright => "upright",
            Self::Dots => "dots",
        }
    }

    /// Its lines, in a tile of 6 by 6.
    fn lines(name: &str) -> &'static str {
        match name {
            "rising" => "M-1 7L7 -1M-1 1L1 -1M5 7L7 5",
            "falling" => "M-1 -1L7 7M-1 5L1 7M5 -1L7 1",
            "upright" => "M3 0V6",
            _ => "M2.5 3H3.5",
        }
    }
}

impl Canvas {
    /// An empty one; `prefix` begins its ids.
    pub(super) fn new(prefix: &str, width: f64) -> Self {
        let (body, hatches) = (String::new(), Vec::new());
        Self { width, height: 0.0, body, prefix: prefix.to_owned(), hatches }
    }

    /// Whether there is room for labels beside what they are of.
    pub(super) fn is_wide(&self) -> bool {
        self.width > 600.0
    }

    /// A line.
    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.push(html! { line x1=(px(x1)) y1=(px(y1)) x2=(px(x2)) y2=(px(y2)) class=(class) {} });
    }

    /// A line through `points`; it breaks where one is not finite.
    pub(super) fn polyline(&mut self, points: &[(f64, f64)], class: &str) {
        let mut path = String::new();
        let mut is_begun = false;
        for (x, y) in points {
            if !(x.is_finite() && y.is_finite()) {
                is_begun = false;
                continue;
            }
            let command = if is_begun { 'L' } else { 'M' };
            write!(path, "{command}{} {}", px(*x), px(*y)).expect("a string takes all");
            is_begun = true;
        }
        self.path(&path, class, None);
    }

    /// A path in SVG's language, and what is told of it to who points at it.
    pub(super) fn path(&mut self, d: &str, class: &str, title: Option<&str>) {
        self.push(html! { path d=(d) class=(class) { (told(title)) } });
    }

    /// A rectangle with corners rounded by `round`.
    pub(super) fn rect(
        &mut self,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        round: f64,
        class: &str,
        title: Option<&str>,
    ) {
        let (w, h, rx) = (px(width.max(0.0)), px(height.max(0.0)), px(round));
        self.push(html! {
            rect x=(px(x)) y=(px(y)) width=(w) height=(h) rx=(rx) class=(class) { (told(title)) }
        });
    }

    /// A rectangle in `class`, hatched.
    pub(super) fn span(
        &mut self,
        at: (f64, f64),
        size: (f64, f64),
        class: &str,
        hatch: Hatch,
        title: Option<&str>,
    ) {
        self.rect(at, size, 2.0, class, title);
        if hatch != Hatch::None && size.0 > 0.0 {
            let name = hatch.name();
            if !self.hatches.contains(&name) {
                self.hatches.push(name);
            }
            let fill = format!("url(#{}-{name})", self.prefix);
            let ((x, y), (w, h)) = (at, size);
            self.push(html! {
                rect x=(px(x)) y=(px(y)) width=(px(w)) height=(px(h)) rx="2" fill=(fill)
                    pointer-events="none" {}
            });
        }
    }

    /// A text; `class` beside the anchor's.
    pub(super) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let class = match anchor {
            Anchor::Start => class.to_owned(),
            Anchor::Middle => format!("{class} mid"),
            Anchor::End => format!("{class} end"),
        };
        self.push(html! { text x=(px(x)) y=(px(y)) class=(class.trim()) { (text) } });
    }

    /// As [`Canvas::text`], cut to `width` with all of it told to who points at it.
    pub(super) fn text_within(&mut self, (x, y): (f64, f64), width: f64, class: &str, text: &str) {
        // Bold letters are wider.
        let size = if class.contains("strong") { 12.7 } else { 12.0 };
        let cut = fit(text, width, size);
        let title = (cut != text).then_some(text);
        self.push(html! { text x=(px(x)) y=(px(y)) class=(class) { (cut) (told(title)) } });
    }

    /// A point.
    pub(super) fn mark(
        &mut self,
        (x, y): (f64, f64),
        marker: Marker,
        radius: f64,
        class: &str,
        title: Option<&str>,
    ) {
        let (x, y, r) = (px(x), px(y), px(radius));
        if marker == Marker::Circle {
            self.push(html! { circle cx=(x) cy=(y) r=(r) class=(class) { (told(title)) } });
            return;
        }
        let d = match marker {
            Marker::Circle | Marker::Square => {
                format!("M{x} {y}m-{r} -{r}h{0}v{0}h-{0}z", px(radius * 2.0))
            }
            Marker::Diamond => {
                let r = px(radius * 1.25);
                format!("M{x} {y}m0 -{r}l{r} {r}l-{r} {r}l-{r} -{r}z")
            }
            Marker::Triangle => {
                let (up, side, down) = (px(radius * 1.2), px(radius * 1.15), px(radius * 2.0));
                format!("M{x} {y}m0 -{up}l{side} {down}h-{}z", px(radius * 2.3))
            }
            Marker::Cross => {
                format!("M{x} {y}m-{r} -{r}l{0} {0}m0 -{0}l-{0} {0}", px(radius * 2.0))
            }
        };
        self.path(&d, class, title);
    }

    /// An arrow's head that points down to `tip`.
    pub(super) fn arrow_head(&mut self, (x, y): (f64, f64)) {
        self.path(&format!("M{} {}l-4 -7h8z", px(x), px(y)), "head", None);
    }

    /// What was drawn.
    pub(super) fn finish(self) -> Drawing {
        let patterns = self.hatches.iter().map(|name| {
            let id = format!("{}-{name}", self.prefix);
            html! {
                pattern id=(id) width="6" height="6" patternUnits="userSpaceOnUse" {
                    path d=(Hatch::lines(name)) class="hatch" {}
                }
            }
        });
        let definitions = html! {
            @if !self.hatches.is_empty() {
                defs { @for pattern in patterns { (pattern) } }
            }
        };
        let body = PreEscaped(definitions.into_string() + &self.body);
        Drawing { width: self.width, height: self.height, body }
    }

    fn push(&mut self, element: Markup) {
        self.body.push_str(&element.into_string());
    }
}

/// A drawing that is done.
pub(super) struct Drawing {
    /// Its width, in pixels.
    pub(super) width: f64,
    /// Its height, in pixels.
    pub(super) height: f64,
    /// What is in its `svg` element.
    pub(super) body: Markup,
}

/// A length with two decimals at most.
fn px(value: f64) -> f64 {
    // Numbers that are not finite have no place in an SVG; what draws them leaves them out before.
    let value = if value.is_finite() { value } else { 0.0 };
    (value * 100.0).round() / 100.0 + 0.0
}

/// `text`, or as much of it as `width` holds, in a font of `size`.
pub(super) fn fit(text: &str, width: f64, size: f64) -> String {
    let most = (width / (size * EM_SHARE)).max(1.0) as usize;
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.truncate(cut.trim_end().len());
    cut + "\u{2026}"
}

/// How wide `text` is in a font of `size`, roughly: what draws it measures, and is not here.
pub(super) fn width_of(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * EM_SHARE
}

/// Mean width of a letter, as a share of the font's size.
const EM_SHARE: f64 = 0.55;

fn told(title: Option<&str>) -> Markup {
    html! { @if let Some(title) = title { title { (title) } } }
}
