//! Colours, for paper and for the dark, and the style sheets made of them.
//!
//! Colours of data are Okabe and Ito's ("Color Universal Design", 2008), which people with any colour vision tell apart;
//! nothing is told by colour alone all the same.

/// A colour's name, its value on white and its value on black.
const COLORS: &[(&str, &str, &str)] = &[
    ("page", "#ffffff", "#131619"),
    ("panel", "#f6f7f9", "#1b1f24"),
    ("ink", "#1c2126", "#e7eaed"),
    ("muted", "#59636e", "#9da7b1"),
    ("rule", "#cfd5dc", "#3a424b"),
    ("grid", "#e9ecf0", "#262c33"),
    ("blue", "#0072b2", "#5ab2ea"),
    ("sky", "#56b4e9", "#3a8fc4"),
    ("orange", "#e69f00", "#e69f00"),
    ("vermilion", "#d55e00", "#f28544"),
    ("green", "#009e73", "#26bd92"),
    ("purple", "#cc79a7", "#d78fb7"),
    ("yellow", "#f0e442", "#cfc43a"),
];

/// What is drawn: by class, so that a page and a picture dress the same drawing each in its way.
const FIGURES: &str = "\
text{font-size:12px;fill:var(--ink)}\
.muted{fill:var(--muted)}.strong{font-weight:600}.small{font-size:11px}\
.mid{text-anchor:middle}.end{text-anchor:end}\
.halo{stroke:var(--page);stroke-width:3px;paint-order:stroke;stroke-linejoin:round}\
.on{fill:#101418}\
.axis{stroke:var(--rule);stroke-width:1px;fill:none}.grid{stroke:var(--grid);stroke-width:1px}\
.zero{stroke:var(--muted);stroke-width:1px;stroke-dasharray:2 3}\
.line{fill:none;stroke-width:2px;stroke-linejoin:round;stroke-linecap:round}\
.thin{fill:none;stroke-width:1.25px}\
.dash{stroke-dasharray:6 4}.dots{stroke-dasharray:1.5 4}\
.edge{fill:none;stroke:var(--muted);stroke-width:1.25px}.head{fill:var(--muted)}\
.hatch{fill:none;stroke:#101418;stroke-width:1px;stroke-opacity:.28}\
.box{fill:var(--panel);stroke:var(--rule);stroke-width:1px}\
.grown{fill:var(--green);fill-opacity:.13;stroke:var(--green);stroke-width:1.5px}\
.pill{fill:var(--page);stroke:var(--blue);stroke-width:1.25px;stroke-dasharray:4 3}\
.band{fill-opacity:.1}.plain{fill:var(--rule)}\
.point{stroke:var(--page);stroke-width:1.5px}\
.hollow{fill:var(--page);stroke-width:1.75px}";

/// Colours that data is drawn in.
const DATA_COLORS: [&str; 8] =
    ["blue", "sky", "orange", "vermilion", "green", "purple", "yellow", "muted"];

const PAGE: &str = include_str!("page.css");

/// The page's style sheet.
pub(super) fn page_css() -> String {
    let variables = |dark: bool| -> String {
        let value = |it: &(&str, &'static str, &'static str)| if dark { it.2 } else { it.1 };
        COLORS.iter().map(|it| format!("--{}:{};", it.0, value(it))).collect()
    };
    let (light, dark) = (variables(false), variables(true));
    // Printed pages are white whatever the screen is.
    format!(
        ":root{{color-scheme:light dark;{light}}}\
         @media (prefers-color-scheme:dark){{:root{{{dark}}}}}\
         @media print{{:root{{{light}}}}}\n{}{}\n{PAGE}",
        FIGURES.replace("text{", "svg text{"),
        data_rules(),
    )
}

/// The style sheet of a picture that stands alone, on white.
#[cfg(feature = "png")]
pub(super) fn picture_css() -> String {
    // The font of pictures has one weight, and a light one.
    let weight = "text{stroke:var(--ink);stroke-width:.15px}.muted{stroke:var(--muted)}\
                  .strong{stroke:var(--ink);stroke-width:.45px;paint-order:normal}";
    let mut css = FIGURES.to_owned() + &data_rules() + weight;
    for (name, light, _) in COLORS {
        css = css.replace(&format!("var(--{name})"), light);
    }
    css
}

/// `.fill-COLOR` and `.stroke-COLOR`.
fn data_rules() -> String {
    let rule = |color: &&str| {
        format!(".fill-{color}{{fill:var(--{color})}}.stroke-{color}{{stroke:var(--{color})}}")
    };
    DATA_COLORS.iter().map(rule).collect()
}

/// The value of a colour on white.
#[cfg(feature = "png")]
pub(super) const WHITE: [u8; 4] = [255; 4];
