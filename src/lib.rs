//! Esper trains neural networks that grow while they train.
