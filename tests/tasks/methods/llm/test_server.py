"""The server of these tests speaks what OpenAI's own client reads."""

from openai import OpenAI

from tests.servers import chat_server, in_turn, text_vector
from tests.tasks.methods.llm.askers import GOOD


def test_openais_client_reads_every_endpoint(key: str) -> None:
    with (
        chat_server(in_turn(GOOD)) as server,
        OpenAI(api_key=key, base_url=server.base_url, max_retries=0) as openai,
    ):
        said = openai.responses.create(model="m", input="one")
        assert said.output_text == GOOD.content
        completion = openai.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "one"}]
        )
        assert completion.choices[0].message.content == GOOD.content
        found = openai.embeddings.create(model="m", input="one", encoding_format="float")
        assert found.data[0].embedding == text_vector("one")
        file = openai.files.create(file=("a.jsonl", b""), purpose="batch")
        batch = openai.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        assert [b.id for b in openai.batches.list()] == [batch.id]
        assert openai.batches.retrieve(batch.id).status == "in_progress"
        assert openai.batches.retrieve(batch.id).status == "completed"
    assert len(server.bodies) == 3
