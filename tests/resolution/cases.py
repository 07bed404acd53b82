"""The requests that are compared, each for something that a resolver can get wrong.

uv is asked, because it is quick; pip where the two disagree, and `Case.pip` then says why they do.

Left out, with the reason:

- ``opencv-python opencv-python-headless``: two distributions that write the same files. pip puts one over the
  other; as conda packages both are ``py-opencv``, of which an environment holds one.
- ``apache-airflow==2.9.3``, ``jinja2==2.11.3 markupsafe==2.0.1`` and other old pins that no wheels of this
  Python meet: uv and the bridge both refuse them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One install: its SPECs, as a user writes them, and what it is here for.

    `pip` is the reason why pip is asked and not uv, empty where uv is. `sample` marks what the tests
    resolve at every run.
    """

    specs: str
    about: str
    pre: bool = False
    pip: str = ""
    sample: bool = False

    @property
    def oracle(self) -> str:
        """``uv`` or ``pip``: who is asked for the right answer."""
        return "pip" if self.pip else "uv"

    def __str__(self) -> str:
        return f"{self.specs} --pre" if self.pre else self.specs


CASES = (
    # -- pure Python
    Case("cowsay", "one pure project, no requirements", sample=True),
    Case("flask>=3", "a small closure"),
    Case("rich", "a small closure"),
    Case("django", "a marker of the platform"),
    Case("scrapy", "pure, over projects with compiled parts"),
    Case("sphinx", "many requirements with lower bounds"),
    Case("jupyterlab", "a large closure", sample=True),
    Case("poetry", "exact pins between siblings"),
    Case("pre-commit tox nox", "several requests that share requirements"),
    Case("pytest pytest-cov pytest-xdist hypothesis", "plugins and their host"),
    # -- extras
    Case("fastapi[standard]", "extras that bring extras", sample=True),
    Case("uvicorn[standard]", "markers beside the extra's own"),
    Case("httpx[http2,socks]", "two extras of one project"),
    Case("celery[redis]", "an extra of a requirement, kombu[redis]"),
    Case("coverage[toml]", "an extra that holds nothing on this Python"),
    Case("pydantic[email]", "an extra that constrains"),
    Case("jsonschema[format-nongpl]", "an extra with a hyphen"),
    Case("pandas[performance]", "an extra of compiled projects", sample=True),
    Case("dask[complete]", "extras that refer to their own project", sample=True),
    Case("xarray[complete]", "extras that refer to their own project, twice removed"),
    Case("moto[all]", "an extra with dozens of requirements"),
    Case("sqlalchemy[asyncio]", "an extra that repeats a requirement with a marker"),
    Case("psycopg[binary,pool]", "an extra that pins another project to this version"),
    # -- large closures
    Case("apache-airflow-providers-http", "about a hundred projects"),
    Case("streamlit", "upper bounds on common projects"),
    Case("mlflow", "newest versions that require what there is not"),
    Case("prefect", "a large closure whose newest versions disagree"),
    Case("sagemaker", "a project whose newest requirement wants an old rival"),
    Case("litellm[proxy]", "exact pins that only old siblings meet"),
    Case("dbt-core", "siblings, of which the newest disagree"),
    Case("langchain langchain-openai", "siblings that release often"),
    Case("great-expectations", "upper bounds on a requirement of requirements"),
    Case("gradio", "a bound between siblings"),
    Case("spacy", "compiled projects with upper bounds"),
    Case("ray[default]", "an extra of a binary project"),
    Case("torch", "markers that choose a dozen libraries"),
    Case("transformers[torch] datasets", "bounds that meet in the middle"),
    Case("google-cloud-bigquery[all]", "a stack with shared bounds"),
    # -- compiled
    Case("numpy", "one wheel for each Python"),
    Case("scikit-learn matplotlib", "compiled projects that share one"),
    Case("cryptography", "abi3 and several platforms of one version", sample=True),
    Case("polars", "abi3, its runtime apart"),
    Case("ruff uv", "programs: py3-none with a platform"),
    Case("grpcio-tools", "a pin between compiled siblings"),
    # -- what conda calls otherwise
    Case("docker redis tables msgpack graphviz build", "names that differ in conda's channels"),
    Case("opencv-python-headless", "a name that differs, and a bound on numpy that depends on Python"),
    Case("ruamel.yaml zope.interface", "dots in names"),
    Case("google-api-python-client", "names that look alike"),
    # -- old, pinned, several bounds
    Case("urllib3<2 requests==2.28.*", "two bounds that meet", sample=True),
    Case("boto3", "a project with thousands of releases"),
    Case("boto3==1.26.0", "a pin that bounds a sibling and its urllib3"),
    Case("pandas==1.5.3 numpy<2", "an old binary pin with a bound beside it"),
    Case("pydantic<2", "the newest of an old series"),
    Case("django==2.2.*", "an old series"),
    Case("flask==0.12.5", "requirements without upper bounds, far in the past"),
    Case("pandas==2.1.4 numpy==1.26.4", "two pins of which one bounds the other"),
    Case("tensorflow==2.15.*", "old binary pins with upper bounds on much"),
    Case("six==1.10.0", "a wheel of before Requires-Python"),
    Case("omegaconf==2.0.6", "legacy metadata: PyYAML>=5.1.*"),
    # -- pre-releases and yanked releases
    Case("black>=23.12b0,<24", "a specifier that names a pre-release", sample=True),
    Case("black==24.1a1", "a pinned pre-release"),
    Case("pydantic", "pre-releases asked for", pre=True),
    Case("opentelemetry-instrumentation-flask", "projects that have nothing but pre-releases"),
    Case("requests==2.32.0", "a yanked release that is pinned"),
    Case("requests<2.32.3,>=2.31", "yanked releases that are not"),
)
