"""The words of the Core Business Vocabulary 2.0 and of the GS1 Web Vocabulary that EPCIS 2.0 names.

EPCIS JSON writes them bare (`loading`); XML and older systems write URNs, Linked Data writes web addresses.
Every form is accepted and the bare name is what the rest of the code compares with. A word that is a URI
outside the standard's namespaces is somebody's own vocabulary and stays as it is.

Source: CBV 2.0 sections 7.1 to 7.7, EPCIS 2.0 JSON schema (definitions).
"""

from __future__ import annotations

from dataclasses import dataclass

CBV = "https://ref.gs1.org/cbv/"
GS1 = "https://gs1.org/voc/"

_OLD_CBV = "https://ns.gs1.org/cbv/"
_GS1_ALIASES = (
    GS1,
    "https://ref.gs1.org/voc/",
    "https://www.gs1.org/voc/",
    "http://gs1.org/voc/",
    "http://www.gs1.org/voc/",
    "gs1:",
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


BIZ_STEPS = _words("""
    accepting arriving assembling collecting commissioning consigning creating_class_instance cycle_counting
    decommissioning departing destroying disassembling dispensing encoding entering_exiting holding inspecting
    installing killing loading other packing picking receiving removing repackaging repairing replacing
    reserving retail_selling sampling sensor_reporting shipping staging_outbound stock_taking stocking storing
    transporting unloading unpacking void_shipping
""")
DISPOSITIONS = _words("""
    active available completeness_inferred completeness_verified conformant container_closed container_open
    damaged destroyed dispensed disposed encoded expired in_progress in_transit inactive mismatch_class
    mismatch_instance mismatch_quantity needs_replacement no_pedigree_match non_conformant non_sellable_other
    partially_dispensed recalled reserved retail_sold returned sellable_accessible sellable_not_accessible
    stolen unavailable unknown
""")
BIZ_TRANSACTION_TYPES = _words(
    "bol cert desadv inv pedigree po poc prodorder recadv rma testprd testres upevt"
)
SOURCE_DESTINATION_TYPES = _words("location owning_party possessing_party")
ERROR_REASONS = _words("did_not_occur incorrect_data")
COMPONENTS = _words("""
    x y z axial_distance azimuth height spherical_radius polar_angle elevation_angle easting northing latitude
    longitude altitude
""")
SENSOR_ALERTS = _words("ALARM_CONDITION ERROR_CONDITION")
MEASUREMENT_TYPES = _words("""
    AbsoluteHumidity AbsorbedDose AbsorbedDoseRate Acceleration Altitude AmountOfSubstance
    AmountOfSubstancePerUnitVolume Angle AngularAcceleration AngularMomentum AngularVelocity Area Capacitance
    Conductance Conductivity Count Density Dimensionless DoseEquivalent DoseEquivalentRate DynamicViscosity
    ElectricCharge ElectricCurrent ElectricCurrentDensity ElectricFieldStrength Energy Exposure Force
    Frequency Illuminance Inductance Irradiance KinematicViscosity Length LinearMomentum Luminance
    LuminousFlux LuminousIntensity MagneticFlux MagneticFluxDensity MagneticVectorPotential Mass
    MassConcentration MassFlowRate MassPerAreaTime MemoryCapacity MolalityOfSolute MolarEnergy MolarMass
    MolarVolume Power Pressure RadiantFlux RadiantIntensity Radioactivity RelativeHumidity Resistance
    Resistivity SolidAngle SpecificVolume Speed SurfaceDensity SurfaceTension Temperature Time Torque Voltage
    Volume VolumeFlowRate VolumeFraction VolumetricFlux Wavenumber
""")


@dataclass(frozen=True)
class Vocabulary:
    """One list of the standard: its `name` for messages, its bare `words` and the spellings that mean the
    same. `uri` is the head of the Linked Data form, `heads` are those of every accepted spelling, `open` those under
    which the official schema takes words that are not in its list."""

    name: str
    words: frozenset[str]
    uri: str
    heads: tuple[str, ...]
    open: tuple[str, ...] = ()

    def bare(self, text: str) -> str:
        """The bare word for any of its spellings; a word of someone's own vocabulary unchanged."""
        if text in self.words:
            return text
        for head in self.heads:
            if text.startswith(head):
                return text[len(head) :]
        return text

    def full(self, text: str) -> str:
        """The Linked Data form, as the event hash wants it; a foreign word unchanged."""
        bare = self.bare(text)
        return self.uri + bare if bare in self.words or bare != text else text

    def knows(self, text: str) -> bool:
        """Is this one of the standard's words, or a URI outside the standard's own namespaces? A prefixed
        name such as `cbv:my_own` counts as foreign: what the prefix means is for the document's context to
        say."""
        bare = self.bare(text)
        return bare in self.words or (":" in text and (bare == text or text.startswith(self.open)))


def _cbv(name: str, words: frozenset[str], urn: str, path: str) -> Vocabulary:
    uri = f"{CBV}{path}-"
    heads = (uri, f"{_OLD_CBV}{path}-", f"urn:epcglobal:cbv:{urn}:", f"cbv:{path}-")
    return Vocabulary(name, words, uri, heads)


BIZ_STEP = _cbv("CBV business steps", BIZ_STEPS, "bizstep", "BizStep")
DISPOSITION = _cbv("CBV dispositions", DISPOSITIONS, "disp", "Disp")
BIZ_TRANSACTION_TYPE = _cbv("CBV business transaction types", BIZ_TRANSACTION_TYPES, "btt", "BTT")
SOURCE_DESTINATION_TYPE = _cbv("CBV source or destination types", SOURCE_DESTINATION_TYPES, "sdt", "SDT")
ERROR_REASON = _cbv("CBV error reasons", ERROR_REASONS, "er", "ER")
COMPONENT = _cbv("CBV components", COMPONENTS, "comp", "Comp")
SENSOR_ALERT = Vocabulary(
    "GS1 sensor alert types",
    SENSOR_ALERTS,
    GS1,
    tuple(f"{head}SensorAlertType-" for head in _GS1_ALIASES) + _GS1_ALIASES,
)
MEASUREMENT_TYPE = Vocabulary(
    "GS1 measurement types",
    MEASUREMENT_TYPES,
    GS1,
    tuple(f"{head}MeasurementType-" for head in _GS1_ALIASES) + _GS1_ALIASES,
    open=("https://ref.gs1.org/voc/", "gs1:"),
)


def biz_step(text: str) -> str:
    """`loading`, `urn:epcglobal:cbv:bizstep:loading`, `https://ref.gs1.org/cbv/BizStep-loading` ->
    `loading`."""
    return BIZ_STEP.bare(text)


def disposition(text: str) -> str:
    """The bare disposition, as `biz_step` does for steps."""
    return DISPOSITION.bare(text)


def biz_transaction_type(text: str) -> str:
    """The bare business transaction type (`desadv`, `cert`, ...)."""
    return BIZ_TRANSACTION_TYPE.bare(text)


def source_destination_type(text: str) -> str:
    """The bare source or destination type (`owning_party`, `possessing_party`, `location`)."""
    return SOURCE_DESTINATION_TYPE.bare(text)


def measurement_type(text: str) -> str:
    """The bare measurement type (`Temperature`, ...) of a sensor report."""
    return MEASUREMENT_TYPE.bare(text)
