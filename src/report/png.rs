//! Figures as pictures for papers: on white, at twice the size, in a font that is part of the program.

use std::sync::Arc;

use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{self, fontdb},
};

use super::{error::ReportError, figure::Figure, page::without_controls, theme};

/// Pixels of a picture to one of the drawing.
const SCALE: f32 = 2.0;

/// Draws figures; made once, since it reads its font.
pub(super) struct Painter {
    options: usvg::Options<'static>,
}

impl Painter {
    /// One with the font of every picture.
    pub(super) fn new() -> Self {
        let mut fonts = fontdb::Database::new();
        fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
        let family = fonts
            .faces()
            .next()
            .and_then(|face| Some(face.families.first()?.0.clone()))
            .unwrap_or_default();
        let options = usvg::Options {
            font_family: family,
            fontdb: Arc::new(fonts),
            ..usvg::Options::default()
        };
        Self { options }
    }

    /// The figure as a PNG.
    pub(super) fn png(&self, figure: &Figure) -> Result<Vec<u8>, ReportError> {
        let fail = |what: String| ReportError::Picture { figure: figure.id.clone(), what };
        let tree = usvg::Tree::from_str(&without_controls(&figure.svg()), &self.options)
            .map_err(|error| fail(error.to_string()))?;
        let size = tree.size().to_int_size();
        let length = |it: u32| (it as f32 * SCALE).ceil() as u32;
        let mut picture = Pixmap::new(length(size.width()), length(size.height()))
            .ok_or_else(|| fail("it is too large".to_owned()))?;
        let [red, green, blue, alpha] = theme::WHITE;
        picture.fill(resvg::tiny_skia::Color::from_rgba8(red, green, blue, alpha));
        resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut picture.as_mut());
        picture.encode_png().map_err(|error| fail(error.to_string()))
    }
}
