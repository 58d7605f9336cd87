"""A single-turn environment as it was written for verifiers before 0.4."""

import verifiers as vf
from datasets import Dataset

SYSTEM = "Answer with the sum in <answer> tags."


def load_environment(count: int = 100) -> vf.Environment:
    pairs = [(n * 7 % 50, n * 13 % 50) for n in range(count)]
    dataset = Dataset.from_list([{"question": f"{a} + {b} = ?", "answer": str(a + b)} for a, b in pairs])
    parser = vf.XMLParser(["answer"], answer_field="answer")

    def correct(completion, answer, **kwargs) -> float:
        return 1.0 if parser.parse_answer(completion) == answer else 0.0

    rubric = vf.Rubric(funcs=[correct, parser.get_format_reward_func()], weights=[1.0, 0.2], parser=parser)
    return vf.SingleTurnEnv(dataset=dataset, system_prompt=SYSTEM, parser=parser, rubric=rubric)
