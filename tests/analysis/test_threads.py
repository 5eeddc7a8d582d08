import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from analysis.threads import one_thread


def threads() -> set[int]:
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


def test_a_function_runs_on_one_thread_and_gives_the_others_back():
    @one_thread
    def inside(fail: bool) -> set[int]:
        if fail:
            raise RuntimeError
        return threads()

    with threadpool_limits(2, "blas"):
        before = threads()
        assert inside(False) == {1}
        with pytest.raises(RuntimeError):
            inside(True)
        assert threads() == before
