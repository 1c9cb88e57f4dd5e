"""What a run may say: one pydantic model per section of the YAML file.

Every key but ``data.path`` has a default. Unknown keys are errors. The models hold no behaviour: the pipeline
reads them, and :mod:`ntkdist.config.load` turns YAML and ``--set`` overrides into them.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
PositiveInt = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(_Section):
    """Where the rows and targets come from and how they are prepared."""

    path: str = Field(min_length=1, description="A file or folder, or sklearn:digits and its like.")
    x: str = Field("x", description="Name of the rows inside the file (npz, Zarr, HDF5).")
    y: str = Field("y", description="Name of the targets inside the file (npz, Zarr, HDF5, CSV, Parquet).")
    task: Literal["auto", "regression", "classification"] = "auto"
    test_fraction: float = Field(0.2, ge=0.0, lt=1.0, description="Share of the rows held out for testing.")
    normalise: Literal["none", "standardise", "unit"] = "none"
    seed: int = Field(0, ge=0, description="Seed of the train/test split.")
    block_rows: int = Field(8192, ge=1, description="Rows of a range: what one task reads or writes.")
    image_shape: tuple[PositiveInt, PositiveInt, PositiveInt] | None = Field(
        None, description="(h, w, c) of flat rows, for convolutional kernels; read from the file where it has images."
    )


class LayerConfig(_Section):
    """One layer of the full form of an architecture."""

    activation: str = Field("relu", description="A name, a name with parameters, or module:function.")
    sigma_w: Positive = math.sqrt(2.0)
    sigma_b: NonNegative = 0.0
    frozen: bool = Field(False, description="The layer's weights are not trained: it adds nothing to Θ.")
    residual: bool = Field(False, description="The layer's result is added to what came in.")
    layernorm: bool = Field(False, description="LayerNorm before the activation.")
    epsilon: NonNegative = Field(0.0, description="ε of the LayerNorm.")


class KernelConfig(_Section):
    """The fully connected architecture whose infinite-width kernel is computed."""

    type: Literal["dense"] = "dense"
    depth: int | None = Field(None, ge=1, description="Number of activation layers L; 3 unless layers are listed.")
    activation: str | None = Field(None, description="Activation of every layer; relu unless said otherwise.")
    sigma_w: Positive | None = Field(None, description="Weight standard deviation; √2 unless said otherwise.")
    sigma_b: NonNegative | None = Field(None, description="Bias standard deviation; 0 unless said otherwise.")
    input_scaling: Literal["none", "1/d", "unit"] | None = Field(None, description="Scale s of Σ⁰ = s·x·x'.")
    layers: tuple[LayerConfig, ...] | None = Field(None, description="The full form: one entry per layer.")
    preset: Literal["jacot", "nt", "arora", "leoyu"] | None = Field(None, description="A literature convention.")
    first_sigma_w: Positive | None = Field(None, description="σ_w of the input layer; 1, or the preset's.")
    first_bias: NonNegative | None = Field(None, description="σ_b of the input layer; 0, or the preset's.")
    first_frozen: bool = Field(False, description="The input layer is not trained: Θ⁰ = 0.")
    parameterization: Literal["ntk", "standard"] = "ntk"
    width: Positive | None = Field(None, description="Width of the layers, with parameterization: standard.")
    tolerance: Positive | None = Field(
        None, description="Largest relative error accepted of an activation without a closed form; 1e-11."
    )
    which: Literal["ntk", "nngp"] = "ntk"

    @model_validator(mode="after")
    def _one_form(self) -> KernelConfig:
        if self.layers is not None:
            simple = [k for k in ("depth", "activation", "sigma_w", "sigma_b") if getattr(self, k) is not None]
            if simple:
                raise ValueError(f"layers are listed, so {', '.join(simple)} cannot be given as well")
            if not self.layers:
                raise ValueError("layers is an empty list; list at least one layer")
        return self


class ExponentsConfig(_Section):
    """An abc-parameterization of one's own: exponents of every layer and of the step."""

    name: str = "abc"
    a: tuple[float, ...]
    b: tuple[float, ...]
    c: float


ParameterizationConfig = Literal["ntk", "standard", "mean-field", "mup"] | ExponentsConfig


class EmpiricalKernelConfig(_Section):
    """The empirical NTK of real networks: fully connected ones from seeds or a checkpoint, or any PyTorch model."""

    type: Literal["empirical"]
    depth: int = Field(3, ge=1, description="Number L of hidden layers.")
    width: int = Field(1024, ge=1, description="Width m of the hidden layers.")
    outputs: int = Field(1, ge=1)
    activation: str = "relu"
    sigma_w: Positive = math.sqrt(2.0)
    sigma_b: NonNegative = 0.0
    input_scaling: Literal["none", "1/d", "unit"] = "none"
    parameterization: ParameterizationConfig = "ntk"
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (0,), min_length=1, description="An ensemble: one network each."
    )
    output: Literal["mean"] | Annotated[int, Field(ge=0)] = Field(
        "mean", description="Average over outputs, or one of them."
    )
    checkpoint: str | None = Field(None, description="A saved network (.npz), or a PyTorch state_dict with model.")
    model: str | None = Field(None, description="A PyTorch model, module:factory.")
    input_shape: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(None, description="Shape of one row for model.")
    method: Literal["auto", "jacobian", "products"] = "auto"
    memory: Positive = Field(2.0, description="GiB for Jacobian blocks of a PyTorch model.")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    which: Literal["ntk", "nngp"] = "ntk"

    @model_validator(mode="after")
    def _one_origin(self) -> EmpiricalKernelConfig:
        given = {k for k, field in type(self).model_fields.items() if getattr(self, k) != field.default}
        network = {"depth", "width", "outputs", "activation", "sigma_w", "sigma_b", "input_scaling", "parameterization"}
        of_torch = {"input_shape", "method", "memory", "device"}
        if self.model is None and (extra := sorted(given & of_torch)):
            raise ValueError(f"{', '.join(extra)} belong to a PyTorch model, and no model is named")
        if (self.model is not None or self.checkpoint is not None) and (extra := sorted(given & network)):
            what = "the model" if self.model is not None else "the checkpoint"
            raise ValueError(f"{what} fixes the architecture, so {', '.join(extra)} cannot be given as well")
        return self


class ConvKernelConfig(_Section):
    """The convolutional architecture whose infinite-width kernel is computed, on images."""

    type: Literal["conv"]
    depth: PositiveInt | None = Field(None, description="Number of convolutions L; 3 unless a preset says otherwise.")
    filter: PositiveInt = Field(3, description="Odd side of the square filters; zero padding (SAME).")
    readout: Literal["flatten", "gap"] | None = Field(None, description="flatten unless a preset says otherwise.")
    activation: str = Field("relu", description="relu, leaky_relu(α), abs or abrelu(a,b).")
    sigma_w: Positive = Field(math.sqrt(2.0), description="Weight standard deviation of every convolution.")
    sigma_b: NonNegative = Field(0.0, description="Bias standard deviation of every convolution.")
    preset: Literal["myrtle5", "myrtle7", "myrtle10"] | None = Field(None, description="Layers, poolings, readout.")
    pool_after: tuple[PositiveInt, ...] | None = Field(None, description="Layers followed by a 2×2 average pooling.")
    residual: bool = Field(False, description="Pass each layer's input around its activation and convolution.")
    flip: bool = Field(False, description="Train on every image and its mirror image.")
    first_frozen: bool = Field(False, description="Leave the first convolution untrained.")
    last_frozen: bool = Field(False, description="Leave the dense readout untrained.")
    channels_first: bool = Field(False, description="Rows hold images as (c, h, w), as CIFAR's binary files do.")
    input_scaling: Literal["1/c", "none"] = Field("1/c", description="Scale s of Σ⁰ = s·x_p·x'_p'.")
    which: Literal["ntk", "nngp"] = "ntk"
    max_core_hours: Positive = Field(500.0, description="A Gram matrix predicted to take longer is refused.")


def _kind(tree: Any) -> str | None:
    kind = tree.get("type", "dense") if isinstance(tree, dict) else getattr(tree, "type", "dense")
    return f"[{kind}]" if kind in ("dense", "conv", "empirical") else None


AnyKernelConfig = Annotated[
    Annotated[KernelConfig, Tag("[dense]")]
    | Annotated[ConvKernelConfig, Tag("[conv]")]
    | Annotated[EmpiricalKernelConfig, Tag("[empirical]")],
    Discriminator(
        _kind,
        custom_error_type="kernel_type",
        custom_error_message="type must be dense or conv (infinite width) or empirical (a network of finite width)",
    ),
]
"""A kernel section by its ``type``; the tags stand in brackets because error messages leave such parts out."""


class GramConfig(_Section):
    """How the Gram matrix is cut, computed, stored and multiplied."""

    tile: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    compute: Literal["float64", "float32"] = "float64"
    storage: Literal["float64", "float32"] = "float64"
    mode: Literal["auto", "resident", "streamed", "recomputed"] = "auto"


class SpectrumConfig(_Section):
    """How far the extreme eigenvalues are certified."""

    certificate: Literal["residual", "probabilistic", "rigorous"] = "rigorous"
    rtol: Positive = 1e-9
    top: int = Field(16, ge=1, description="Largest eigenpairs kept.")
    bottom: int = Field(4, ge=1, description="Smallest eigenvalues kept.")
    probes: int = Field(16, ge=2, description="Random probes of density, log-determinant, effective dimension.")
    steps: int = Field(24, ge=2, description="Lanczos steps per probe.")
    dense_rows: int = Field(2000, ge=0, description="Rows up to which all eigenvalues are computed instead.")
    ridges: Literal["auto"] | tuple[Positive, ...] = Field(
        "auto", description="Ridges of the effective dimension; auto is a grid over the spectrum."
    )


class SolveConfig(_Section):
    """The regression weights (Θ + ridge·I)⁻¹ y."""

    ridge: NonNegative | Literal["loo", "gcv"] | Annotated[tuple[NonNegative, ...], Field(min_length=1)] = Field(
        0.0,
        description="Added to the diagonal; loo and gcv choose it on the training rows. Of a list, all are solved for; "
        "theory and predictions use the first.",
    )
    rtol: float = Field(1e-8, gt=0, lt=1, description="True relative residual asked of every column.")
    method: Literal["auto", "cg", "cholesky", "cholesky32"] = Field(
        "auto", description="auto predicts the seconds of each; cholesky32 preconditions block CG by it."
    )
    preconditioner: Literal["auto", "low-rank", "factorised", "nystrom"] = Field(
        "auto", description="factorised suits low-dimensional data; auto samples which one does."
    )
    rank: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        "auto", description="Landmarks of the preconditioner; auto goes by n and memory."
    )
    max_passes: int = Field(2000, ge=1)


class TheoryConfig(_Section):
    """Which statements are evaluated."""

    times: Literal["auto"] | tuple[NonNegative, ...] = Field("auto", description="Moments of training, in ``clock``.")
    clock: Literal["flow", "mean_loss", "descent"] = Field(
        "flow", description="What times count: gradient flow on ½Σ(f−y)², on the mean loss, or steps of descent."
    )
    step: Literal["auto"] | Positive = Field("auto", description="Step η of gradient descent; auto is 1/λ_max.")
    initial: Literal["zero", "given", "nngp"] = Field("zero", description="f(0): zero, a file, or a prior draw.")
    initial_path: str | None = Field(None, description="An .npy of f(0), one row per dataset row; for given.")
    seed: int = Field(0, ge=0, description="Seed of the prior draw and of the learning curve's subsamples.")
    passes: int = Field(200, ge=1, description="Most passes over the matrix for the training curve.")
    ensemble_rows: int = Field(16, ge=0, description="Held-out rows with ensemble mean and variance over f(0).")
    epsilon: float = Field(1e-3, gt=0, lt=1, description="Loss to reach, relative to the initial loss.")
    delta: float = Field(0.05, gt=0, lt=1, description="Failure probability of the generalization bounds.")
    two_layer: Literal["auto"] | bool = Field("auto", description="Bound with the kernel H^∞ of two-layer networks.")
    sizes: Literal["auto"] | tuple[Annotated[int, Field(ge=1)], ...] = Field(
        "auto", description="Rows of the learning curve's subsamples; an empty list skips it."
    )
    repeats: int = Field(3, ge=1, description="Subsamples per size of the learning curve.")
    dense_rows: int = Field(2000, ge=1, description="Rows up to which a dense eigendecomposition may be made.")

    @model_validator(mode="after")
    def _start_given(self) -> TheoryConfig:
        if (self.initial == "given") != (self.initial_path is not None):
            raise ValueError("theory.initial_path goes with theory.initial: given, and only with it")
        return self


class PredictConfig(_Section):
    """What is said of the held-out rows besides the mean."""

    nngp: Literal["auto"] | bool = Field("auto", description="Predict with the NNGP kernel too.")
    variance_rows: int = Field(64, ge=0, description="Held-out rows that get posterior and ensemble variances.")
    store: bool = Field(False, description="Keep the test × train blocks in the store, with receipts.")


class WidthsConfig(_Section):
    """The width study: networks of growing width beside their infinite-width kernel (`ntkdist widths`)."""

    widths: tuple[Annotated[int, Field(ge=2)], ...] = Field((64, 128, 256, 512, 1024, 2048, 4096, 8192), min_length=2)
    train_up_to: int = Field(512, ge=2, description="Wider networks are looked at, at initialisation, not trained.")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field((0, 1, 2), min_length=1)
    parameterizations: tuple[ParameterizationConfig, ...] = Field(
        ("ntk", "standard", "mean-field", "mup"), min_length=1
    )
    rows: int = Field(100, ge=4, description="Training rows of the study (the first of the run's).")
    test_rows: int = Field(400, ge=0, description="Held-out rows of the study.")
    step: Positive = Field(0.5, description="Step η as a share of 2/λ_max(Θ_∞).")
    steps: int = Field(200, ge=1, description="Steps of gradient descent.")
    epsilon: float = Field(0.1, gt=0, lt=1, description="Loss to reach, relative to the initial loss.")
    step_check: bool = Field(True, description="Train at 0.9 and 1.1 times 2/λ_max of the widest trained network.")
    compare: tuple[KernelConfig, ...] = Field((), description="Architectures to compare before training.")
    network: KernelConfig | None = Field(None, description="The network of the study, where kernel is a model.")


class ClusterConfig(_Section):
    """Where tiles are computed."""

    type: Literal["in-process", "local", "cuda", "slurm", "kubernetes", "address"] = "in-process"
    workers: int = Field(1, ge=1)
    threads_per_worker: int | None = Field(None, ge=1)
    memory_limit: str | None = None
    address: str | None = None
    options: dict[str, str | int | float | bool | list[str] | dict[str, str | int | float | bool]] = Field(
        default_factory=dict, description="Passed on to the cluster's constructor."
    )
    connect_timeout: Positive = 30.0
    worker_ttl: Positive = Field(60.0, description="Seconds without a heartbeat after which a worker is replaced.")
    insecure: bool = False

    @model_validator(mode="after")
    def _address_given(self) -> ClusterConfig:
        if (self.type == "address") != (self.address is not None):
            raise ValueError("cluster.address goes with cluster.type: address, and only with it")
        return self


class RunConfig(_Section):
    """One run: dataset, kernel, and everything computed from them."""

    data: DataConfig
    kernel: AnyKernelConfig = KernelConfig()
    gram: GramConfig = GramConfig()
    spectrum: SpectrumConfig = SpectrumConfig()
    solve: SolveConfig = SolveConfig()
    theory: TheoryConfig = TheoryConfig()
    predict: PredictConfig = PredictConfig()
    widths: WidthsConfig = WidthsConfig()
    cluster: ClusterConfig = ClusterConfig()
    store: str = Field("runs/run.zarr", min_length=1, description="The run store: a Zarr v3 group.")
