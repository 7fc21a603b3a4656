"""Times LoRA fine-tuning in PyTorch with Transformers and PEFT (eager, float32), as a peer of `deno task bench lora`.

    python bench_torch.py --batch 2 --time 256 --steps 6 --rank 8 [--checkpoint FOLDER | --save FOLDER] [--interleave]

`--save FOLDER` writes the random base weights as a float32 Hugging Face folder, for other peers to load.
"""

from bench_common import LEARNING_RATE, SHAPE, WEIGHT_DECAY, arguments, batch_of, limit_threads, run

ARGS = arguments(__doc__)
limit_threads(ARGS.threads)

import os  # noqa: E402
import warnings  # noqa: E402

os.environ["HF_HUB_OFFLINE"] = "1"
# OpenMP's threads spin while they wait for each other. On a machine with other work that costs PyTorch most of its
# speed (measured: five times slower), so they sleep here unless the caller says otherwise.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
warnings.filterwarnings("ignore")

import torch  # noqa: E402
from peft import LoraConfig, get_peft_model  # noqa: E402
from transformers import AutoModelForCausalLM, Gemma2Config, Gemma2ForCausalLM  # noqa: E402
from transformers.utils import logging  # noqa: E402

logging.set_verbosity_error()
logging.disable_progress_bar()
torch.set_num_threads(ARGS.threads)


def build():
    """The model with its adapter, and the function that runs one step of training."""
    torch.manual_seed(ARGS.seed)
    if ARGS.checkpoint:
        model = AutoModelForCausalLM.from_pretrained(
            ARGS.checkpoint, dtype=torch.float32, attn_implementation="eager")
    else:
        config = Gemma2Config(**SHAPE, query_pre_attn_scalar=SHAPE["head_dim"], attn_implementation="eager")
        model = Gemma2ForCausalLM(config)
    if ARGS.save:
        model.save_pretrained(ARGS.save)
    parameters = sum(each.numel() for each in model.parameters())
    targets = ["q_proj", "v_proj"]
    model = get_peft_model(model, LoraConfig(r=ARGS.rank, lora_alpha=ARGS.rank, target_modules=targets))
    model.config.use_cache = False
    model.train()
    trained = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    ids = torch.from_numpy(batch_of(ARGS.batch, ARGS.time)).long()

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step, parameters, sum(each.numel() for each in trained)


run("pytorch-peft", ARGS, build)
