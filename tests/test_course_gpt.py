"""The stored GPT is what its log says."""
import course_gpt


def test_first_steps_give_the_logged_losses():
    assert (
        course_gpt.difference_to_log(100) < 0.05
    )  # 0 on a processor of the same kind, a little more in another precision


def test_checkpoint_is_small():
    assert sum(path.stat().st_size for path in course_gpt.FOLDER.iterdir()) < 12e6
