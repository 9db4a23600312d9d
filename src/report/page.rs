//! The page: one file that needs nothing else, no script and no network.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{figure::Figure, theme};

/// What a browser may do for a page: dress it, and draw its icon.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// What a report says, in order.
pub(super) struct Page {
    /// What kind of report it is, above the title.
    pub kicker: String,
    pub title: String,
    /// Below the title: status, and a sentence.
    pub lead: Markup,
    /// Figures of a glance: name, value, and a remark.
    pub cards: Vec<Card>,
    /// What is not there, a sentence each.
    pub missing: Vec<String>,
    /// Ids and names of sections to choose from.
    pub chooser: Vec<(String, String)>,
    pub blocks: Vec<Block>,
}

/// A number that matters.
pub(super) struct Card {
    pub name: &'static str,
    pub value: String,
    pub remark: String,
}

/// A part of a page.
pub(super) enum Block {
    Figure(Box<Figure>),
    Html(Markup),
}

impl Page {
    /// The figures in it.
    pub fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.blocks.iter().filter_map(|block| match block {
            Block::Figure(figure) => Some(&**figure),
            Block::Html(_) => None,
        })
    }

    /// The whole file.
    pub fn to_html(&self) -> String {
        let version = env!("CARGO_PKG_VERSION");
        let markup = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    // What a file smuggled in would still not run, and nothing is fetched.
                    meta http-equiv="Content-Security-Policy" content=(CONTENT_POLICY);
                    // An empty icon: browsers would ask for one otherwise.
                    link rel="icon" href="data:,";
                    title { (self.title) " - Esper report" }
                    style { (PreEscaped(theme::page_css())) }
                }
                body {
                    header.top {
                        p.kicker { (self.kicker) }
                        h1 { (self.title) }
                        (self.lead)
                    }
                    main {
                        (self.overview())
                        @for block in &self.blocks {
                            @match block {
                                Block::Figure(figure) => { (figure.html()) }
                                Block::Html(markup) => { (markup) }
                            }
                        }
                    }
                    footer { "Written by esper " (version) "." }
                }
            }
        };
        without_controls(&markup.into_string())
    }

    fn overview(&self) -> Markup {
        html! {
            section #overview aria-label="Overview" {
                @if !self.cards.is_empty() {
                    dl class=(if self.cards.len() == 4 { "cards four" } else { "cards" }) { @for card in &self.cards {
                        div { dt { (card.name) } dd { (card.value) small { (card.remark) } } }
                    } }
                }
                @if !self.missing.is_empty() {
                    div.missing #missing {
                        h2 { "What is missing" }
                        ul { @for sentence in &self.missing { li { (sentence) } } }
                    }
                }
                @if self.chooser.len() > 1 {
                    nav aria-label="Sections" { ul { @for (id, name) in &self.chooser {
                        li { a href=(format!("#{id}")) { (name) } }
                    } } }
                }
            }
        }
    }
}

/// `text` with a replacement character for control characters, which neither HTML nor XML may hold.
pub(super) fn without_controls(text: &str) -> String {
    let is_bad = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    text.chars().map(|c| if is_bad(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
