//! What a family of blueprints is, and a family that is one row of a table.

use esper_engine::world::blueprint::Blueprint;
use esper_nn::{
    contract::{Contract, Layer},
    graph::{GraphError, NetworkGraph},
    tensor::channel_shape,
};

/// A family of small networks; implement it to bring your own.
pub trait BlueprintFamily: Send + Sync + 'static {
    /// A stable, lowercase name, unique in a catalogue.
    fn name(&self) -> &str;

    /// Whether it also draws modules that read at one site and write at another; it is asked for none if not.
    fn spans(&self) -> bool {
        false
    }

    /// The family's blueprint for sites of `contract`, or `None` where it has nothing to offer.
    ///
    /// Must be a function of `self` and `contract` alone: the blueprint's id is a digest of what is returned.
    ///
    /// # Errors
    ///
    /// Fails when the graph it draws is not a network.
    fn design(&self, contract: &Contract) -> Result<Option<Blueprint>, GraphError>;
}

impl BlueprintFamily for Box<dyn BlueprintFamily> {
    fn name(&self) -> &str {
        self.as_ref().name()
    }

    fn spans(&self) -> bool {
        self.as_ref().spans()
    }

    fn design(&self, contract: &Contract) -> Result<Option<Blueprint>, GraphError> {
        self.as_ref().design(contract)
    }
}

/// A family that is one drawing.
#[derive(Clone, Copy)]
pub(super) struct Family {
    pub name: &'static str,
    /// Why this shape.
    pub intent: &'static str,
    /// What it rests on; a [`Blueprint::CONTROL`] never trains.
    pub basis: &'static str,
    /// The sites it is for.
    pub fits: fn(Contract) -> bool,
    pub draw: fn(Contract) -> Result<NetworkGraph, GraphError>,
}

impl BlueprintFamily for Family {
    fn name(&self) -> &str {
        self.name
    }

    fn spans(&self) -> bool {
        true
    }

    fn design(&self, contract: &Contract) -> Result<Option<Blueprint>, GraphError> {
        if !(self.fits)(*contract) {
            return Ok(None);
        }
        let graph = (self.draw)(*contract)?;
        let blueprint = Blueprint::new(self.name, graph, self.intent, self.basis)?;
        Ok(Some(Blueprint { is_trainable: self.basis != Blueprint::CONTROL, ..blueprint }))
    }
}

/// Features of a site: channels, of an image.
pub(super) fn width(contract: Contract) -> usize {
    channel_shape(&contract.shape()).channels
}

/// Every single site.
pub(super) fn everywhere(contract: Contract) -> bool {
    contract.layer().is_none()
}

pub(super) fn is_vector(contract: Contract) -> bool {
    matches!(contract, Contract::Vector { .. })
}

pub(super) fn is_image(contract: Contract) -> bool {
    matches!(contract, Contract::Image { .. })
}

pub(super) fn is_sequence(contract: Contract) -> bool {
    matches!(contract, Contract::Sequence { .. })
}

/// A sequence is a vector at each position.
pub(super) fn has_vectors(contract: Contract) -> bool {
    is_vector(contract) || is_sequence(contract)
}

/// A branch over linear maps.
pub(super) fn is_over_linear(contract: Contract) -> bool {
    matches!(contract.layer(), Some(Layer::Linear { .. }))
}

/// A branch over convolutions.
pub(super) fn is_over_conv(contract: Contract) -> bool {
    matches!(contract.layer(), Some(Layer::Conv { .. }))
}
