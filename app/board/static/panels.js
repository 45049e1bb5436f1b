/* Which charts a run has: one for each series with something to see, grouped; the rest has none. */
(function () {
  "use strict";
  /* [group, series, how it is drawn]; ``beside`` names a second series of the same chart, ``held``
     marks scores that may be of evaluations alone. */
  const KNOWN = [
    ["", "lr_finder_loss", { wide: true, x: "lr_finder_rate", mark: "proposed_learning_rate" }],
    ["", "loss", { wide: true, smooth: true, log: true, name: "train_loss" }],
    ["quality", "reward", { smooth: true }], ["quality", "reward_std", { smooth: true }],
    ["quality", "rewards_margins", { smooth: true }],
    ["quality", "rewards_accuracies", { smooth: true }],
    ["quality", "rewards_chosen", { smooth: true, beside: ["rewards_rejected"] }],
    ["quality", "exact_match", { held: true }], ["quality", "numeric", { held: true }],
    ["quality", "contains", { held: true }], ["quality", "json_valid", { held: true }],
    ["quality", "rouge1", { held: true }], ["quality", "rouge2", { held: true }],
    ["quality", "rougeL", { held: true }], ["quality", "bleu", { held: true }],
    ["quality", "chrf", { held: true }], ["quality", "accuracy", { smooth: true, held: true }],
    ["quality", "macro_f1", { held: true }], ["quality", "token_accuracy", { smooth: true }],
    ["quality", "nll_loss", { smooth: true }],
    ["answers", "completions_mean_length", { smooth: true }],
    ["answers", "completions_clipped_ratio", {}], ["answers", "entropy", { smooth: true }],
    ["answers", "kl", { smooth: true }], ["answers", "frac_reward_zero_std", {}],
    ["answers", "logps_chosen", { smooth: true, beside: ["logps_rejected"] }],
    ["answers", "logits_chosen", { smooth: true, beside: ["logits_rejected"] }],
    ["training", "learning_rate", {}], ["training", "grad_norm", { smooth: true, log: true }],
    ["machine", "tokens_per_s", {}], ["machine", "tflops_per_s", {}],
    ["machine", "mfu", {}], ["machine", "memory_mib", {}],
  ];
  const NEVER = ["lr_finder_rate", "proposed_learning_rate", "samples_per_s", "train_runtime_s",
    "num_tokens", "min_reward", "max_reward"];
  /* Details that only fill the page. */
  const DETAIL = /_(min|max)(_|$)|terminated/;
  const BESIDE = KNOWN.flatMap(([, , how]) => how.beside || []);
  const LEAST = 2;

  function plain(series, words) {
    const own = series.match(/^rewards_(.+)_(mean|std)$/);
    if (own) {
      const name = words["rewards_" + own[1]] || own[1].replaceAll("_", " ");
      return `${own[2] === "std" ? words.reward_std : words.reward}: ${name}`;
    }
    const rest = series.replace(/^eval_/, ""), said = words[rest] || rest.replaceAll("_", " ");
    const title = said.charAt(0).toUpperCase() + said.slice(1);
    return rest === series ? title : `${title} (${words.evaluation})`;
  }

  function panel(group, key, how, words) {
    const title = words[key] || plain(key, words);
    return { ...how, group, key, title, name: words[how.name] || title,
      beside: (how.beside || []).map((name) => [name, words[name] || plain(name, words)]) };
  }

  /* sizes: how many points each series has, 0 for one that is not known here and never moves. */
  window.finestraKnown = new Set([...KNOWN.flatMap(([, key, how]) =>
    how.held ? [key, "eval_" + key] : [key]), ...BESIDE]);
  window.finestraPanels = function (sizes, words) {
    const has = (name, least) => (sizes[name] || 0) >= least;
    const found = KNOWN.filter(([, key, how]) => has(key, how.wide ? 1 : LEAST)
      || (how.held && has("eval_" + key, LEAST)))
      .map(([group, key, how]) => panel(group, key, how, words));
    /* Where answers are scored, the reward is what one looks at; the loss says little. */
    const reward = found.findIndex((one) => one.key === "reward");
    if (reward >= 0) {
      const [first] = found.splice(reward, 1), loss = found.find((one) => one.key === "loss");
      found.unshift({ ...first, wide: true, group: "" });
      if (loss) {
        found.splice(found.indexOf(loss), 1);
        const at = found.findIndex((one) => one.group === "training");
        found.splice(at < 0 ? found.length : at, 0, { ...loss, wide: false, group: "training" });
      }
    }
    const taken = new Set([...NEVER, ...BESIDE, ...KNOWN.map(([, key]) => key)]);
    const others = Object.keys(sizes).filter((name) => !taken.has(name) && has(name, LEAST)
      && !DETAIL.test(name) && !(name.startsWith("eval_") && (name.slice(5) in sizes || taken.has(name.slice(5)))));
    const rewards = others.filter((name) => /^rewards_.+_mean$/.test(name));
    const at = found.findLastIndex((one) => one.group === "quality") + 1 || found.length;
    if (rewards.length > 1) {
      found.splice(at, 0, ...rewards.map((name) => panel("quality", name, { smooth: true }, words)));
    }
    return [...found, ...others.filter((name) => !/^rewards_.+_(mean|std)$/.test(name)).sort()
      .map((name) => panel("other", name, { smooth: true }, words))];
  };
})();
