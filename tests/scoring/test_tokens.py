from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_prompts import byte_pairs, row, shown, words
from transformers import BartConfig, BartForConditionalGeneration, T5Config, T5ForConditionalGeneration

from reportgen.core.config import TasksSection
from reportgen.errors import InputError
from reportgen.scoring.data.batches import Batch, Encoded, collate, plan_batches
from reportgen.scoring.data.encoding import Options, encode

BERT = "<s> $A </s>"


def test_a_causal_model_reads_prompt_and_answer_in_one_piece() -> None:
    tokenizer = words()
    made = encode(tokenizer, row("one two", "three four"), Options())
    assert shown(tokenizer, made.inputs) == "<s> one two three"
    assert (made.prompt, made.positions, shown(tokenizer, made.answer)) == (3, (2, 3), "three four")
    assert (made.decoder, made.foil, made.corrupted, made.cut) == (None, None, None, 0)


def test_a_token_across_prompt_and_answer_belongs_to_the_answer() -> None:
    tokenizer = byte_pairs()
    spaced = encode(tokenizer, row("1=", "two"), Options())
    assert (shown(tokenizer, spaced.inputs), shown(tokenizer, spaced.answer)) == ("1 =", "Ġtwo")
    # '=b' covers the prompt's end and the answer's beginning: scored with the answer, which has 'o' of its own
    shared = encode(tokenizer, row("1=", "bo"), Options(delimiter=""))
    assert (shown(tokenizer, shared.inputs), shown(tokenizer, shared.answer)) == ("1 =b", "=b o")
    assert (shared.prompt, shared.positions) == (1, (0, 1))


@pytest.mark.parametrize(
    ("prompt", "inputs", "places"),
    [
        ("one two", "<s> one two <mask> <mask> </s>", (3, 4)),
        ("one <mask> two", "<s> one <mask> <mask> two </s>", (2, 3)),
        ("<mask> one two", "<s> <mask> <mask> one two </s>", (1, 2)),
    ],
)
def test_a_masked_model_reads_masks_where_the_answer_stands(prompt: str, inputs: str, places: tuple[int, ...]) -> None:
    tokenizer = words(BERT)
    made = encode(tokenizer, row(prompt, "red green", foil="blue a"), Options("masked", with_foil=True))
    assert (shown(tokenizer, made.inputs), made.positions, made.prompt) == (inputs, places, len(made.inputs))
    assert (shown(tokenizer, made.answer), shown(tokenizer, made.foil)) == ("red green", "blue a")


@pytest.mark.parametrize(
    ("single", "forced", "decoder", "places"),
    [
        ("$A </s>", None, "<pad> red", (0, 1)),  # T5: nothing before a target
        (BERT, None, "<pad> <s> red", (1, 2)),  # BART without a forced token: its targets begin with one all the same
        (BERT, 6, "<pad> <bot> red", (1, 2)),  # a language's code, as generation forces it
        ("<pad> $A", None, "<pad> red", (0, 1)),  # the start token again is not doubled
    ],
)
def test_a_decoder_begins_as_generation_does(single: str, forced: Any, decoder: str, places: tuple[int, ...]) -> None:
    tokenizer = words(single)
    options = Options("seq2seq", decoder_start=0, forced_bos=forced, with_foil=True)
    made = encode(tokenizer, row("one two", "red green", foil="blue a"), options)
    assert made.inputs == tuple(tokenizer("one two")["input_ids"])
    assert (made.prompt, shown(tokenizer, made.decoder), made.positions) == (len(made.inputs), decoder, places)
    assert (shown(tokenizer, made.answer), shown(tokenizer, made.foil)) == ("red green", "blue a")


SMALL = {
    "vocab_size": 30,
    "d_model": 8,
    "decoder_layers": 1,
    "encoder_layers": 1,
    "encoder_ffn_dim": 8,
    "decoder_ffn_dim": 8,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
}


@pytest.mark.parametrize("forced", [None, 5])
def test_options_of_a_model_agree_with_what_it_generates_first(forced: int | None) -> None:
    model = BartForConditionalGeneration(BartConfig(**SMALL, decoder_start_token_id=2)).eval()
    model.generation_config.forced_bos_token_id = forced
    options = Options.of("seq2seq", model, TasksSection(delimiter=": "), context=9, with_foil=True)
    assert options == Options(
        "seq2seq", ": ", context=9, with_foil=True, labels=model.config.label2id, decoder_start=2, forced_bos=forced
    )
    written = model.generate(torch.tensor([[7, 8, 9]]), max_new_tokens=2, do_sample=False)[0].tolist()
    assert written[: 1 + (forced is not None)] == [2, *([] if forced is None else [forced])]


def test_a_decoder_without_a_start_token_is_refused() -> None:
    config = T5Config(vocab_size=30, d_model=8, d_ff=8, num_layers=1, num_heads=2, d_kv=4)
    options = Options.of("seq2seq", T5ForConditionalGeneration(config), TasksSection())
    with pytest.raises(InputError) as caught:
        encode(words("$A </s>"), row("one", "two"), options)
    assert str(caught.value) == (
        "tasks.jsonl, line 1 (id '0'): the model names no token for its decoder to start with. "
        "Set decoder_start_token_id in the model's generation_config.json."
    )


@pytest.mark.parametrize(("answer", "number"), [("good", 1), (" bad ", 0), ("LABEL_1", 1), ("0", 0)])
def test_a_classifiers_answer_is_a_label_or_its_number(answer: str, number: int) -> None:
    tokenizer, options = words(BERT), Options("classifier", labels={"bad": 0, "good": 1})
    made = encode(tokenizer, row("one two", answer), options)
    assert shown(tokenizer, made.inputs) == "<s> one two </s>"
    assert (made.prompt, made.answer, made.positions, made.foil) == (4, (number,), (0,), None)
    foil = "good" if number == 0 else "bad"
    assert encode(
        tokenizer, row("one", answer, foil=foil), Options("classifier", labels=options.labels, with_foil=True)
    ).foil == (1 - number,)


def test_an_encoder_reads_the_prompt_alone() -> None:
    made = encode(words(BERT), row("one two"), Options("encoder"))
    assert (len(made.inputs), made.prompt, made.answer, made.positions) == (4, 4, (), ())
    batch = collate([made, made])
    assert (batch.owner.tolist(), batch.target.dtype, batch.rows) == ([], torch.long, (made.row, made.row))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: encode(byte_pairs(), row("1=", "b"), Options(delimiter="")),
            ": the answer 'b' leaves no tokens of its own. Put a white-space delimiter between them ([tasks] "
            "delimiter), or reword the row.",
        ),
        (
            lambda: encode(byte_pairs(), row(" ", "two"), Options(delimiter="")),
            ": no token stands before the answer, so nothing predicts it. Lengthen the prompt.",
        ),
        (
            lambda: encode(words(), row("one " * 9, "two"), Options(context=8)),
            ": prompt and answer take 11 tokens but the model's context is 8. "
            "Shorten the prompt, remove the row, or use a model with a longer context.",
        ),
        (
            lambda: encode(words(BERT), row("one " * 9), Options("encoder", context=8)),
            ": the prompt takes 11 tokens but the model's context is 8. "
            "Shorten the prompt, remove the row, or use a model with a longer context.",
        ),
        (
            lambda: encode(words(), row("one", "two " * 9), Options(context=8, truncate="left")),
            ": answer and special tokens alone take 10 tokens but the model's context is 8. "
            "Remove the row, or use a model with a longer context.",
        ),
        (
            lambda: encode(words(), row("one", "two " * 9), Options("seq2seq", context=8, decoder_start=0)),
            ": the answer takes 10 tokens but the model's context is 8. Shorten the answer, or remove the row.",
        ),
        (
            lambda: encode(words(BERT), row("<mask> one <mask>", "two"), Options("masked")),
            ": the prompt holds the mask token <mask> 2 times. Write it once, where the answer stands, or not at all.",
        ),
        (
            lambda: encode(words(BERT), row("one<mask> two", "red"), Options("masked")),
            ": the answer 'red' shares a token with what stands beside the mask token. "
            "Put white space around the mask token, or reword the row.",
        ),
        (
            lambda: encode(words(BERT), row("one <mask>two", "red"), Options("masked")),
            ": the answer 'red' shares a token with what stands beside the mask token. "
            "Put white space around the mask token, or reword the row.",
        ),
        (
            lambda: encode(byte_pairs(), row("1=", "two"), Options("masked")),
            ": the tokenizer has no mask token. Choose another model, or save its tokenizer again.",
        ),
        (
            lambda: encode(words(), row("one", "so"), Options("classifier", labels={"bad": 0, "good": 1})),
            ", column answer: the classifier has no label 'so'. Its labels are bad, good.",
        ),
        (
            lambda: encode(words(), row("one", "2"), Options("classifier", labels={"bad": 0, "good": 1})),
            ", column answer: the classifier has no label '2'. Its labels are bad, good.",
        ),
        (
            lambda: encode(
                words(), row("one", "bad", foil="0"), Options("classifier", labels={"bad": 0}, with_foil=True)
            ),
            ", column foil: the foil is the answer's class. Give a wrong label.",
        ),
    ],
)
def test_whole_message_of_each_row_that_cannot_be_encoded(make: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value) == f"tasks.jsonl, line 1 (id '0'){message}"


@pytest.mark.parametrize(("kind", "single"), [("causal", "<s> $A"), ("masked", BERT), ("seq2seq", "$A </s>")])
def test_foils_stand_against_the_answer_token_by_token(kind: Any, single: str) -> None:
    tokenizer, options = words(single), Options(kind, with_foil=True, decoder_start=0)
    encoded = encode(tokenizer, row("one", "two three", foil="red a"), options)
    assert shown(tokenizer, encoded.foil) == "red a"
    place = "tasks.jsonl, line 1 (id '0'), column foil: "
    for foil, message in [
        (
            None,
            "the metric logit_difference needs a foil. "
            'Add a foil (a wrong answer) to every row, or choose metric = "log_odds".',
        ),
        (
            "red",
            "the foil takes 1 tokens and the answer 2. "
            "Give a foil of as many tokens, which leaves the prompt's tokens as they are.",
        ),
        ("two  three", "the foil has the answer's tokens. Give a wrong answer."),
    ]:
        with pytest.raises(InputError) as caught:
            encode(tokenizer, row("one", "two three", foil=foil), options)
        assert str(caught.value) == place + message


@pytest.mark.parametrize(
    ("kind", "single"),
    [("causal", "<s> $A"), ("masked", BERT), ("seq2seq", "$A </s>"), ("classifier", BERT), ("encoder", BERT)],
)
def test_corrupted_prompts_keep_the_answer_in_its_place(kind: Any, single: str) -> None:
    tokenizer = words(single)
    options = Options(kind, with_corrupted=True, decoder_start=0, labels={"red": 0, "red green": 1})
    made = encode(tokenizer, row("one two", "red green", corrupted="one three"), options)
    changed = shown(tokenizer, made.inputs).replace("two", "three")
    assert shown(tokenizer, made.corrupted) == changed
    place = "tasks.jsonl, line 1 (id '0'), column corrupted: "
    for corrupted, message in [
        (
            None,
            "the row has no corrupted prompt. "
            "Add a corrupted prompt (a counterfactual) to every row, or choose a method that needs none.",
        ),
        (
            "one one one",
            "the corrupted prompt takes {} tokens and the prompt {}. "
            "Give a corrupted prompt of as many tokens, or choose a method that needs none.",
        ),
        ("one  two", "the corrupted prompt has the prompt's tokens. Give a prompt that differs."),
    ]:
        with pytest.raises(InputError) as caught:
            encode(tokenizer, row("one two", "red green", corrupted=corrupted), options)
        count = 2 + single.count("s>")
        assert str(caught.value) == place + message.format(count + 1, count)


def test_a_corrupted_prompt_may_not_move_or_split_the_answer() -> None:
    moved = row("one <mask> two", "red", corrupted="<mask> one two")
    merged = row("1==", "bo", corrupted="1a")  # '=b' and 'o' against 'b' and 'o'
    for tokenizer, given_row, options in [
        (words(BERT), moved, Options("masked", with_corrupted=True)),
        (byte_pairs(), merged, Options(delimiter="", with_corrupted=True)),
    ]:
        with pytest.raises(InputError) as caught:
            encode(tokenizer, given_row, options)
        assert str(caught.value) == (
            "tasks.jsonl, line 1 (id '0'), column corrupted: "
            "behind the corrupted prompt the answer stands in another place, or splits into other tokens. "
            "Give a corrupted prompt of as many tokens, or choose a method that needs none."
        )


@pytest.mark.parametrize(
    ("kind", "truncate", "inputs", "corrupted"),
    [
        ("causal", "left", "<s> two two three red", "<s> two two four red"),
        ("causal", "middle", "<s> one two three red", "<s> zero two four red"),
        ("masked", "left", "<s> three <mask> <mask> a </s>", "<s> four <mask> <mask> a </s>"),
        ("masked", "middle", "<s> one <mask> <mask> a </s>", "<s> zero <mask> <mask> a </s>"),
        ("encoder", "left", "<s> two two three a </s>", "<s> two two four a </s>"),
    ],
)
def test_cut_prompts_keep_the_answer_and_all_special_tokens(
    kind: Any, truncate: Any, inputs: str, corrupted: str
) -> None:
    tokenizer = words("<s> $A" if kind == "causal" else BERT)
    end = {"causal": "", "masked": " <mask> a", "encoder": " a"}[kind]
    given_row = row(f"one one two two three{end}", "red green", corrupted=f"zero one two two four{end}")
    made = encode(tokenizer, given_row, Options(kind, context=6, truncate=truncate, with_corrupted=True))
    assert (shown(tokenizer, made.inputs), shown(tokenizer, made.corrupted)) == (inputs, corrupted)
    assert made.cut == {"causal": 2, "masked": 4, "encoder": 2}[kind]
    if kind != "encoder":
        assert shown(tokenizer, made.answer) == "red green"
        place = inputs.split().index("<mask>") if kind == "masked" else 3
        assert (made.positions, made.prompt) == ((place, place + 1), 6 if kind == "masked" else 4)


def test_a_difference_that_is_cut_away_is_refused() -> None:
    given_row = row("one one two two three", "red", corrupted="zero one two two three")
    with pytest.raises(InputError) as caught:
        encode(words(), given_row, Options(context=5, truncate="left", with_corrupted=True))
    assert str(caught.value) == (
        "tasks.jsonl, line 1 (id '0'), column corrupted: the corrupted prompt has the prompt's tokens once cut. "
        "Give a prompt that differs."
    )


@given(length=st.integers(1, 30), context=st.integers(5, 20), truncate=st.sampled_from(["left", "middle"]))
def test_cutting_fits_the_context_and_leaves_a_part_of_the_prompt_in_order(
    length: int, context: int, truncate: Any
) -> None:
    tokenizer, prompt = words(), " ".join("one two three four five".split()[i % 5] for i in range(length))
    whole = encode(tokenizer, row(prompt, "red green"), Options())
    made = encode(tokenizer, row(prompt, "red green"), Options(context=context, truncate=truncate))
    assert len(made.inputs) + 1 == min(context, len(whole.inputs) + 1)
    assert made.cut == len(whole.inputs) - len(made.inputs)
    assert (made.inputs[0], made.inputs[-1], made.answer) == (whole.inputs[0], whole.inputs[-1], whole.answer)
    kept = made.prompt - 1
    tail = kept if truncate == "left" else kept - kept // 2
    before = whole.inputs[1 : whole.prompt]
    assert made.inputs[1 : made.prompt] == (before if made.cut == 0 else before[: kept - tail] + before[-tail:])


# ---- batches


def test_batches_go_by_length_and_pad_on_the_right() -> None:
    prompts = ("one two three", "one", "one two")
    encoded = [encode(words(), row(p, "red red" if p == "one" else "red"), Options()) for p in prompts]
    assert plan_batches(encoded, 2) == [[1, 2], [0]]
    batch = collate([encoded[1], encoded[0]], pad=99)
    red, one = encoded[0].answer[0], encoded[1].inputs[1]
    assert batch.input_ids.tolist() == [[1, one, red, 99], [1, one, one + 1, one + 2]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert (batch.owner.tolist(), batch.position.tolist()) == ([0, 0, 1], [1, 2, 3])
    assert (batch.prompt.tolist(), batch.position_ids[0].tolist()) == ([2, 4], [0, 1, 2, 3])


numbers = st.integers(1, 50)


@st.composite
def encoded_examples(draw: Any) -> list[Encoded]:
    """Some examples of one kind of model, each with a foil and a corrupted prompt or none with them."""
    kind, extra = draw(st.sampled_from(["causal", "masked", "seq2seq", "classifier", "encoder"])), draw(st.booleans())
    return [draw(encoded_example(kind, extra, str(i))) for i in range(draw(st.integers(1, 4)))]


@st.composite
def encoded_example(draw: Any, kind: str, extra: bool, name: str) -> Encoded:
    before, some = tuple(draw(st.lists(numbers, min_size=1, max_size=6))), st.lists(numbers, min_size=1, max_size=3)
    answer = {"classifier": (3,), "encoder": ()}.get(kind) if kind in ("classifier", "encoder") else tuple(draw(some))
    n = len(answer)
    inputs = {"causal": before + answer[:-1], "masked": before + (0,) * n + (9,)}.get(kind, before)
    decoder = (0, *answer[:-1]) if kind == "seq2seq" else None
    first = {"causal": len(before) - 1, "masked": len(before)}.get(kind, 0)
    prompt = len(before) if kind == "causal" else len(inputs)
    foil, corrupted = (tuple(t + 1 for t in answer), tuple(t + 1 for t in inputs)) if extra else (None, None)
    places = tuple(range(first, first + n))
    return Encoded(row("p", "a", id=name), inputs, prompt, answer, places, decoder, foil, corrupted)


def rows_of(batch: Batch) -> list[Encoded]:
    """The examples of a batch again."""
    found = []
    for e in range(batch.size):
        mine = batch.owner == e
        length = int(batch.attention_mask[e].sum())
        decoder = None if batch.decoder_ids is None else batch.decoder_ids[e, : int(batch.decoder_mask[e].sum())]
        corrupted = None if batch.corrupted_ids is None else batch.corrupted_ids[e, :length]
        foil = None if batch.foil is None else batch.foil[mine]
        parts = (batch.input_ids[e, :length], batch.target[mine], batch.position[mine], decoder, foil, corrupted)
        lists = [None if part is None else tuple(part.tolist()) for part in parts]
        inputs, answer, places, *rest = lists
        found.append(Encoded(batch.rows[e], inputs, int(batch.prompt[e]), answer, places, *rest))
    return found


@given(encoded_examples(), st.data())
def test_a_batch_holds_its_examples_however_it_is_repeated_or_chosen_from(examples: list[Encoded], data: Any) -> None:
    batch = collate(examples, pad=77)
    assert rows_of(batch) == examples
    padding = batch.attention_mask == 0
    assert (batch.input_ids[padding] == 77).all()
    assert ((batch.attention_mask[:, 1:] - batch.attention_mask[:, :-1]) <= 0).all()  # on the right alone
    assert rows_of(batch.repeated(3)) == examples * 3
    chosen = data.draw(st.lists(st.integers(0, len(examples) - 1), max_size=5))
    assert rows_of(batch.taken(chosen)) == [examples[i] for i in chosen]
    if examples[0].corrupted is None:
        with pytest.raises(ValueError, match="without corrupted prompts"):
            batch.corrupted()
    else:
        swapped = rows_of(batch.corrupted())
        assert [e.inputs for e in swapped] == [e.corrupted for e in examples]
        assert [(e.answer, e.positions, e.foil) for e in swapped] == [(e.answer, e.positions, e.foil) for e in examples]


@given(encoded_examples())
def test_gates_touch_the_named_positions_and_never_padding(examples: list[Encoded]) -> None:
    batch = collate(examples)
    for block in ("enc", "dec", "cross") if examples[0].decoder is not None else (None,):
        decodes = block in ("dec", "cross")
        for e, example in enumerate(examples):
            length = len(example.decoder) if decodes and example.decoder is not None else len(example.inputs)
            places = [] if block == "enc" else list(example.positions)
            wanted = {
                "all": list(range(length)),
                "prompt": [] if decodes else list(range(example.prompt)),
                "answer": places,
                "last": places[:1],
            }
            for positions, indices in wanted.items():
                touched = batch.gated(block, positions)[e]  # type: ignore[arg-type]
                assert touched.dtype == torch.bool
                assert touched.nonzero().flatten().tolist() == indices, (block, positions)


@given(st.lists(encoded_example("seq2seq", False, "0"), max_size=9), st.integers(1, 4))
def test_every_example_is_in_one_batch_and_shorter_ones_come_first(examples: list[Encoded], size: int) -> None:
    plan = plan_batches(examples, size)
    order = [i for batch in plan for i in batch]
    assert sorted(order) == list(range(len(examples)))
    lengths = [(len(examples[i].inputs), len(examples[i].decoder or ()), i) for i in order]
    assert lengths == sorted(lengths)
    assert all(len(batch) == size for batch in plan[:-1])
