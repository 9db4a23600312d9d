//! A figure: one drawing for wide pages and one for narrow ones, with what it shows in words.

use maud::{Markup, html};

use super::canvas::{Canvas, Drawing};

/// Width of a drawing for a desk and for paper, in pixels.
const WIDE_PX: f64 = 960.0;
/// Width of a drawing for a telephone, in pixels.
const NARROW_PX: f64 = 368.0;

/// A figure of a report.
pub struct Figure {
    /// What it is called in the page, and the name of its picture's file; no other figure of the report has the same.
    pub id: String,
    /// Its title.
    pub title: String,
    /// What it shows, and how to read it.
    pub description: String,
    /// What was left out.
    pub(super) note: Option<String>,
    pub(super) wide: Drawing,
    narrow: Drawing,
}

impl Figure {
    /// Draws it twice.
    pub(super) fn draw(
        id: String,
        title: impl Into<String>,
        description: impl Into<String>,
        draw: impl Fn(&mut Canvas),
    ) -> Self {
        let drawn = |name: &str, width| {
            let mut canvas = Canvas::new(&format!("{id}-{name}"), width);
            draw(&mut canvas);
            canvas.finish()
        };
        let (wide, narrow) = (drawn("wide", WIDE_PX), drawn("narrow", NARROW_PX));
        let (title, description) = (title.into(), description.into());
        Self { id, title, description, note: None, wide, narrow }
    }

    /// Says what was left out.
    pub(super) fn note(mut self, note: Option<String>) -> Self {
        self.note = note;
        self
    }

    /// The figure as part of a page.
    pub(super) fn html(&self) -> Markup {
        let label = format!("{}. {}", self.title, self.description);
        let svg = |drawing: &Drawing, class: &str| {
            let view = format!("0 0 {} {}", drawing.width, drawing.height.ceil());
            html! { svg class=(class) role="img" aria-label=(label) viewBox=(view) { (drawing.body) } }
        };
        html! {
            figure id=(self.id) {
                figcaption { h3 { (self.title) } (self.description) }
                (svg(&self.wide, "wide"))
                (svg(&self.narrow, "narrow"))
                @if let Some(note) = &self.note { p.note { (note) } }
            }
        }
    }

    /// The wide drawing as an SVG file of its own, on white.
    #[cfg(feature = "png")]
    pub(super) fn svg(&self) -> String {
        let Drawing { width, height, body } = &self.wide;
        let margin = 24.0;
        let (all_width, all_height) = (width + 2.0 * margin, height.ceil() + 2.0 * margin);
        let view = format!("{} {} {all_width} {all_height}", -margin, -margin);
        html! {
            svg xmlns="http://www.w3.org/2000/svg" width=(all_width) height=(all_height) viewBox=(view) {
                style { (maud::PreEscaped(super::theme::picture_css())) }
                (body)
            }
        }
        .into_string()
    }
}
