//! Ports: where a module reads its host, and where it writes.

use super::Binding;
use crate::{
    module::Composition,
    program::{Program, SiteInfo},
    tensor::Shape,
};

/// The places, among the host's sites, that a module reads and writes at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Where it reads.
    pub read: u16,
    /// Where it writes: the same, or a later one.
    pub write: u16,
}

impl Ports {
    /// Both at one site.
    pub const fn at(site: u16) -> Self {
        Self { read: site, write: site }
    }
}

impl Binding {
    /// Whether it reads at one site and writes at another: a branch over what lies between.
    pub const fn is_span(&self) -> bool {
        self.read != self.write
    }

    /// Whether a module that is `module` may be bound so to `host`.
    ///
    /// # Errors
    ///
    /// Says which port is none, or which shape does not fit.
    pub fn check(
        &self,
        host: &Program,
        module: &Program,
        composition: Composition,
    ) -> Result<(), PortError> {
        let site = |place: u16| {
            let found = host.sites.get(usize::from(place));
            found.ok_or(PortError::NoSite { place, n_sites: host.sites.len() })
        };
        let (read, write) = (site(self.read)?, site(self.write)?);
        if self.is_span() {
            let (read, write) = (read.name.clone(), write.name.clone());
            if self.read > self.write {
                return Err(PortError::ReadsLater { read, write });
            }
            if composition.needs_joined() {
                return Err(PortError::Blended { read, write });
            }
        }
        let ends = |site: &SiteInfo| site.shape.first().filter(|_| site.shape.len() == 2).copied();
        if host.is_causal && self.is_span() && ends(read) != ends(write) {
            let (read, write) = (read.name.clone(), write.name.clone());
            return Err(PortError::CrossesCausality { read, write });
        }
        for (site, found) in [(read, &module.input_shape), (write, &module.output_shape)] {
            if site.shape != *found {
                let (site, shape) = (site.name.clone(), site.shape.clone());
                return Err(PortError::Shape { site, shape, found: found.clone() });
            }
        }
        Ok(())
    }
}

/// Why a module can not be bound between two sites.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PortError {
    /// A port is no site.
    #[error("there is no site {place}; the host has {n_sites}")]
    NoSite {
        /// The port.
        place: u16,
        /// Sites there are.
        n_sites: usize,
    },
    /// The module would read what comes after it.
    #[error(
        "a module that writes at `{write}` can not read at `{read}`, which comes later; exchange them"
    )]
    ReadsLater {
        /// Where it would read.
        read: String,
        /// Where it would write.
        write: String,
    },
    /// The composition mixes a module's input with its output, and here they differ.
    #[error(
        "a module from `{read}` to `{write}` is added to what is there: composition `blend` is for modules of one site"
    )]
    Blended {
        /// Where it would read.
        read: String,
        /// Where it would write.
        write: String,
    },
    /// One end says something at each position of a text, and the other does not, or at other positions.
    #[error(
        "a module from `{read}` to `{write}` would let positions see later ones: both ends must have the same positions"
    )]
    CrossesCausality {
        /// Where it would read.
        read: String,
        /// Where it would write.
        write: String,
    },
    /// The module does not fit one of its sites.
    #[error("site `{site}` has shape {shape:?}, and the module {found:?} there")]
    Shape {
        /// The site.
        site: String,
        /// Its shape.
        shape: Shape,
        /// The module's.
        found: Shape,
    },
}
