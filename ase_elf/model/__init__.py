"""Geometry → ELF: the field network, its evaluation on grids and points, its weights."""

from ase_elf.model.energy import EnergyNetwork
from ase_elf.model.field_model import FieldModel, Prediction
from ase_elf.model.network import Architecture, FieldNetwork
from ase_elf.model.weights import load_model, load_network, load_potential, save_network

__all__ = [
    "Architecture",
    "EnergyNetwork",
    "FieldModel",
    "FieldNetwork",
    "Prediction",
    "load_model",
    "load_network",
    "load_potential",
    "save_network",
]
