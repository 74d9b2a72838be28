from __future__ import annotations

import copy
import pickle

import pytest
import torch

from graphkd.core.view import Viewer
from tests.core.models import gcn, graph


def test_a_missing_input_lists_what_the_batch_has():
    with pytest.raises(KeyError, match=r"GCN.forward needs \['edge_index'\] from the batch, which has \['x'\]"):
        Viewer(gcn())({"x": graph().x})


def test_a_tensor_is_logits_and_a_mapping_is_the_view():
    data, model = graph(), gcn()
    assert torch.equal(Viewer(model)(data)["logits"], model(data.x, data.edge_index))
    assert list(Viewer(model, call=lambda m, batch: {"user": batch.x})(data)) == ["user"]


def test_other_outputs_ask_for_call():
    with pytest.raises(TypeError, match="GCN returned tuple; a view needs a tensor or a mapping"):
        Viewer(gcn(), call=lambda model, batch: (batch.x, batch.y))(graph())


def test_the_tapped_model_stays_copyable_and_picklable():
    data, model = graph(), gcn()
    viewer = Viewer(model, taps={"hidden": "convs.0"})
    want = viewer(data)["hidden"]
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other(data.x, data.edge_index), model(data.x, data.edge_index))
        assert not other.convs[0]._forward_hooks
    for other in (copy.deepcopy(viewer), pickle.loads(pickle.dumps(viewer))):
        assert other.model is not model
        assert torch.equal(other(data)["hidden"], want)


def test_further_taps_are_of_one_call():
    data, viewer = graph(), Viewer(gcn(), taps={"hidden": "convs.0"})
    assert list(viewer(data, {"other": "convs.1"})) == ["logits", "hidden", "other"]
    assert list(viewer(data)) == ["logits", "hidden"]
    assert torch.equal(viewer(data, {"hidden": "convs.1"})["hidden"], viewer(data)["logits"])


def test_a_view_that_computes_its_entries_keeps_them_beside_taps():
    class Lazy(dict):
        pass

    data, model = graph(), gcn()
    viewer = Viewer(model, taps={"hidden": "convs.0"}, call=lambda m, b: Lazy(user=m(b.x, b.edge_index)))
    view = viewer(data)
    assert set(view) == {"hidden", "user"}


def test_what_a_model_takes_of_a_batch():
    data = graph()
    assert set(Viewer(gcn()).taken(data)) == {"x", "edge_index"}
    data.edge_weight = torch.ones(90)
    assert set(Viewer(gcn()).taken(data)) == {"x", "edge_index", "edge_weight"}
    assert set(Viewer(gcn(), call=lambda m, b: m(b.x, b.edge_index)).taken(data)) == set(data.keys())


def test_taps_work_on_and_under_torch_compile():
    data, model = graph(), gcn()
    want = Viewer(model, taps={"hidden": "convs.0"})(data)["hidden"]
    compiled = torch.compile(gcn(), backend="eager")
    assert torch.equal(Viewer(compiled, taps={"hidden": "convs.0"})(data)["hidden"], want)


def test_an_error_in_call_says_whose_call_it_is():
    with pytest.raises(ZeroDivisionError) as caught:
        Viewer(gcn(), call=lambda model, batch: 1 / 0)(graph())
    assert caught.value.__notes__ == ["raised in call= of GCN; of a pair the teacher's is the second"]
