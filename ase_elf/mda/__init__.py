"""MDAnalysis kit: readers, analyses, a transformation, and the way to ASE and back.

Importing it teaches MDAnalysis extended XYZ with cells and times.
"""

try:
    from ase_elf.mda.analysis import (
        BondAnalysis,
        BondLifetimeAnalysis,
        ClusterAnalysis,
        MolecularFraction,
        NetworkAnalysis,
        NetworkingValue,
        PairDistribution,
        PercolationAnalysis,
        ResolvedPairDistribution,
    )
    from ase_elf.mda.bridge import to_atoms, to_universe
    from ase_elf.mda.cluster import DistributedBackend
    from ase_elf.mda.extxyz import EXTXYZParser, EXTXYZReader
    from ase_elf.mda.live import follow
    from ase_elf.mda.transformation import ELFTransformation
except ModuleNotFoundError as error:
    if error.name != "MDAnalysis":
        raise
    raise ModuleNotFoundError(
        "ase_elf.mda needs MDAnalysis, which is not installed: pip install MDAnalysis.", name=error.name
    ) from error

__all__ = [
    "BondAnalysis",
    "BondLifetimeAnalysis",
    "ClusterAnalysis",
    "DistributedBackend",
    "ELFTransformation",
    "EXTXYZParser",
    "EXTXYZReader",
    "MolecularFraction",
    "NetworkAnalysis",
    "NetworkingValue",
    "PairDistribution",
    "PercolationAnalysis",
    "ResolvedPairDistribution",
    "follow",
    "to_atoms",
    "to_universe",
]
