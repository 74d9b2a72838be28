"""What holds for every loss. A loss is put under these tests by one entry in the ``cases`` of a sub-class.

    class TestResponse(Behaviour):
        cases = {"KL": Case(partial(KL, 4.0), at_teacher="zero")}

An entry says how to make the loss and which properties its formula has; the rest follows.
"""

from __future__ import annotations

import copy
import functools
import importlib
import pickle
import pkgutil
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import ClassVar

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

import tests
from graphkd import Distiller, Frozen
from tests.kernels.graphs import EXAMPLE, NO_EDGES, ONE_NODE, Graph, normal
from tests.losses.scene import Case, Scene, Show, evaluate, made, slope


def only(applies: Callable[[Case], object]) -> Callable[[Callable], Callable]:
    """A test for the cases with a property."""

    def mark(test: Callable) -> Callable:
        test.applies = applies
        return test

    return mark


class Behaviour:
    """The tests; a sub-class named ``Test...`` gives the cases."""

    cases: ClassVar[dict[str, Case]] = {}

    def __init_subclass__(cls) -> None:
        """Tests that no case is for are not there."""
        for name, test in vars(Behaviour).items():
            if hasattr(test, "applies") and not cls.cases_of(test):
                setattr(cls, name, None)

    @classmethod
    def cases_of(cls, test: Callable) -> dict[str, Case]:
        """The cases that a test is for."""
        applies = getattr(test, "applies", lambda _: True)
        return {name: case for name, case in cls.cases.items() if applies(case)}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "case" in metafunc.fixturenames:
            chosen = self.cases_of(metafunc.function)
            metafunc.parametrize("case", chosen.values(), ids=chosen)

    # ------------------------------------------------------------ value and gradient
    def test_a_scalar_as_wide_as_the_student(self, case):
        """Or in float32, where a kernel summed it. Inputs stay as they were; a digest changes nothing."""
        for dtype in (torch.float64, torch.float32, torch.bfloat16):
            loss, scene = made(case, dtype), Scene.of(case, dtype=dtype)
            before = scene.student.detach().clone(), scene.teacher.clone()
            value, gradient = evaluate(loss, scene), slope(loss, scene)
            assert value.shape == ()
            assert value.dtype in (dtype, torch.promote_types(dtype, torch.float32))
            assert gradient.dtype == dtype
            assert value.isfinite()
            assert gradient.isfinite().all()
            assert torch.equal(scene.student, before[0])
            assert torch.equal(scene.teacher, before[1])
            # a digest may be computed more exactly than what is not kept
            torch.testing.assert_close(value, evaluate(loss, scene, digested=False), rtol=1e-5, atol=1e-12)

    def test_float32_is_near_float64(self, case):
        wide, narrow = (
            evaluate(made(case, dtype), Scene.of(case, dtype=dtype)).detach()
            for dtype in (torch.float64, torch.float32)
        )
        torch.testing.assert_close(narrow.double(), wide, rtol=1e-4, atol=1e-5)

    def test_mixed_precision(self, case):
        """Under autocast a loss of float32 features stays what it is, up to the layers of its own."""
        loss, scene = made(case, torch.float32), Scene.of(case, dtype=torch.float32)
        want = evaluate(loss, scene).detach()
        with torch.autocast("cpu", torch.bfloat16):
            got = evaluate(loss, scene)
        assert torch.autograd.grad(got, scene.student)[0].isfinite().all()
        torch.testing.assert_close(
            got.detach().float(), want, rtol=0.05 if list(loss.parameters()) else 1e-4, atol=1e-5
        )

    def test_gradcheck(self, case):
        """With respect to the student, and to whatever the loss itself trains."""
        loss, scene = made(case), Scene.of(case)
        trained = [parameter for parameter in loss.parameters() if parameter.requires_grad]
        inputs = (scene.student, *trained)  # perturbed in place, one entry after the other
        assert gradcheck(lambda *_: evaluate(loss, scene), inputs)
        if trained:
            evaluate(loss, scene).backward()
            assert all(parameter.grad is not None for parameter in trained)

    # ------------------------------------------------------------ what it teaches
    @only(lambda case: case.at_teacher)
    def test_at_the_teacher(self, case):
        loss, scene = made(case), Scene.of(case)
        scene = replace(scene, student=scene.teacher.clone().requires_grad_())
        value = evaluate(loss, scene)
        torch.testing.assert_close(slope(loss, scene), torch.zeros_like(scene.student), rtol=0, atol=1e-8)
        if case.at_teacher == "zero":
            torch.testing.assert_close(value.detach(), torch.zeros_like(value), rtol=0, atol=1e-12)
        for seed in range(3):
            away = scene.teacher + normal(*scene.teacher.shape, dtype=torch.float64, seed=10 + seed)
            assert evaluate(loss, replace(scene, student=away)) > value

    def test_descent(self, case):
        """Ten steps on a free student lower the loss, and bring it nearer to what it should learn."""
        loss, scene = made(case), Scene.of(case)
        start = scene.student.detach().clone()
        optimizer = torch.optim.Adam([scene.student], lr=0.02)
        values = []
        for _ in range(10):
            value = evaluate(loss, scene)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            values.append(value.detach())
        assert evaluate(loss, scene) < values[0]
        if case.distance is not None:
            end = scene.student.detach()
            assert case.distance(end, scene.teacher, scene.batch) < case.distance(start, scene.teacher, scene.batch)

    # ------------------------------------------------------------ on which graphs
    @only(lambda case: "edge_index" in case.make()._known["forward"])
    def test_names_of_nodes_and_order_of_edges_do_not_matter(self, case):
        loss, scene = made(case), Scene.of(case)
        generator = torch.Generator().manual_seed(1)
        name = torch.randperm(EXAMPLE.num_nodes, generator=generator)
        shuffle = torch.randperm(len(EXAMPLE.edges), generator=generator)

        def renamed(tensor: Tensor) -> Tensor:
            return torch.empty_like(tensor).index_copy(0, name, tensor)

        batch = {fact: renamed(tensor) for fact, tensor in scene.batch.items() if fact != "edge_index"}
        batch["edge_index"] = name[scene.batch["edge_index"]][:, shuffle]
        student = renamed(scene.student.detach()).requires_grad_()
        other = Scene(student, renamed(scene.teacher), batch)
        torch.testing.assert_close(evaluate(loss, other), evaluate(loss, scene), rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(slope(loss, other), renamed(slope(loss, scene)), rtol=1e-8, atol=1e-12)

    @pytest.mark.parametrize(
        "graph",
        [NO_EDGES, ONE_NODE, Graph(((0, 1), (0, 1), (1, 0), (1, 1)) * 3, 4), Graph(((0, 0), (1, 1)), 2)],
        ids=["no_edges", "one_node", "duplicates_and_isolated", "self_loops_only"],
    )
    def test_odd_graphs(self, case, graph):
        loss, scene = made(case), Scene.of(case, graph)
        assert evaluate(loss, scene).isfinite()
        assert slope(loss, scene).isfinite().all()
        if graph is NO_EDGES and loss._known["forward"].get("edge_index"):  # it compares edges, and there are none
            assert evaluate(loss, scene) == 0
            assert not slope(loss, scene).any()

    # ------------------------------------------------------------ which rows
    @only(lambda case: case.masked)
    def test_some_rows(self, case):
        """``where`` gives what the rows alone would give."""
        scene = Scene.of(case)
        chosen = torch.tensor([True, False, True, True, False, True])
        got = evaluate(made(case, where="chosen"), replace(scene, batch=scene.batch | {"chosen": chosen}))
        cut = {fact: tensor[chosen] for fact, tensor in scene.batch.items() if fact != "edge_index"}
        want = evaluate(made(case), Scene(scene.student[chosen], scene.teacher[chosen], scene.batch | cut))
        torch.testing.assert_close(got, want)

    @only(lambda case: case.masked)
    def test_no_rows(self, case):
        """A loss of 0 that can be differentiated, and no term."""
        scene, loss = Scene.of(case), made(case, where="nobody")
        student = Show(scene.student, loss.on)
        distiller = Distiller(student, Frozen(Show(scene.teacher, loss.on)), loss)
        step = distiller(scene.batch | {"nobody": torch.zeros(6, dtype=torch.bool)})
        step.loss.backward()
        assert step.loss == 0
        assert step.terms == {}
        assert torch.equal(student.tensor.grad, torch.zeros_like(student.tensor))

    def test_teacher_of_other_rows_is_refused(self, case):
        loss, scene = made(case), Scene.of(case)
        short = {fact: tensor[:-1] for fact, tensor in scene.batch.items() if fact != "edge_index"}
        batch = scene.batch if loss.needs_teacher else scene.batch | short
        with pytest.raises(ValueError, match=case.refused):
            evaluate(loss, Scene(scene.student, scene.teacher[:-1], batch), digested=False)

    def test_teacher_of_another_width(self, case):
        loss, scene = made(case), Scene.of(case)
        wider = replace(scene, teacher=torch.cat([scene.teacher, scene.teacher[:, :1]], dim=1))
        if case.refused_width is not None:
            with pytest.raises((ValueError, RuntimeError), match=case.refused_width):
                evaluate(loss, wider)
        else:
            assert evaluate(loss, wider).isfinite()

    # ------------------------------------------------------------ as an object
    def test_compiles(self, case):
        """In one graph, to the same number."""
        torch.compiler.reset()
        loss, scene = made(case), Scene.of(case)
        want = evaluate(loss, scene, digested=False)
        loss.forward = torch.compile(loss.forward, fullgraph=True, backend="eager")
        torch.testing.assert_close(evaluate(loss, scene, digested=False), want)

    def test_copies(self, case):
        loss, scene = made(case), Scene.of(case)
        want = evaluate(copy.deepcopy(loss), scene)
        for twin in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
            assert torch.equal(evaluate(twin, scene), want)
            assert twin.state_dict().keys() == loss.state_dict().keys()


def load(package: ModuleType, prefix: str = "", part: str = "") -> None:
    """Import the modules of a package, so that the classes in them are known."""
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if module.name.startswith(prefix) and part in module.name:
            importlib.import_module(module.name)


@functools.cache
def every_case() -> dict[str, Case]:
    """All cases that tests give; there is one at least of each public loss, see ``test_every_loss_has_a_case``."""
    for room in ("losses", "schemes"):
        load(tests, f"tests.{room}.", ".test_")
    kinds = sorted(subclasses(Behaviour), key=lambda kind: kind.__name__)
    return {f"{kind.__name__}-{name}": case for kind in kinds for name, case in kind.cases.items()}


def subclasses(kind: type) -> set[type]:
    """All classes derived from one."""
    return {kind for child in kind.__subclasses__() for kind in (child, *subclasses(child))}
