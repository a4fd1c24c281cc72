"""A user's own models: check-plugin."""

from __future__ import annotations

import time

from campaigns.commands import Sets, SpecPath, app


@app.command("check-plugin")
def check_plugin(spec: SpecPath, set_: Sets = None) -> None:
    """Try the contract of a generator and of surrogates on every model that a spec names, one's own above all."""
    from campaigns.campaign import Campaign
    from campaigns.dispatch import build
    from campaigns.plugin_check import check_generator, check_surrogate
    from inverse_design.errors import ModelError

    campaign = Campaign.from_yaml(spec, None, set_ or ())
    cast = campaign.cast()
    broken = 0
    for name, worker in {cast.generator.name: cast.generator_worker(campaign.spec), **cast.surrogate_workers()}.items():
        print(name)
        built, began = build(worker), time.monotonic()
        checks = (
            check_generator(built, campaign.spec.generator.prefix)
            if name == cast.generator.name
            else check_surrogate(built, cast.properties[name])
        )
        for check in checks:
            broken += not check.kept
            print(f"  {'kept  ' if check.kept else 'BROKEN'}  {check.promise}{f': {check.seen}' if check.seen else ''}")
        print(f"  {time.monotonic() - began:.1f} s")
    if broken:
        raise ModelError(f"{broken} promises broken; campaigns/examples/plugins/README.md says what a model must keep")
