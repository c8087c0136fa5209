import Documents
import JSONText
import Testing

@testable import Launch

/// Every key that a target writes is one that the framework reads, and the rules that hold between keys are kept.
@Suite struct WrittenKeysTests {
  private static let seeds = 0..<200

  private func commands(
    of target: any LaunchTarget.Type, _ check: (OfferedPlan, RankCommand) throws -> Void
  ) throws {
    var count = 0
    for seed in Self.seeds {
      let offered = try OfferedPlan(seed: 7_000 + seed, for: target.capabilities)
      guard let command = try? target.program(of: offered.plan) else { continue }
      try check(offered, command)
      count += 1
    }
    #expect(count > 50)
  }

  private func text(_ name: String, in command: RankCommand) throws -> String {
    try #require(command.files.first { $0.name == name }).text
  }

  @Test func deepSpeedsKeys() throws {
    let table = try TargetTable("deepspeed")
    try commands(of: DeepSpeedTarget.self) { offered, command in
      let json = try JSON(parsing: Array(text("deepspeed.json", in: command).utf8))
      table.check(json, below: "", "\(offered)")
      let plan = offered.plan, strategy = plan.strategy
      // Without tensor groups the configuration asserts this product; with them it derives the batch.
      let field = Field(json, source: "deepspeed.json")
      var fields = try field.fields()
      if let batch = fields.optional("train_batch_size") {
        let product = strategy.microBatch * plan.microBatchCount * strategy.worldSize / strategy.contextDegree
        #expect(try batch.integer(in: 1...1_000_000) == product, "\(offered)")
      } else {
        #expect(strategy.tensorDegree > 1, "\(offered)")
      }
      var zero = try fields.required("zero_optimization").fields()
      let stage = try zero.required("stage").integer(in: 0...3)
      for key in ["mics_shard_size", "zero_hpz_partition_size", "zero_quantized_weights"]
      where zero.optional(key) != nil { #expect(stage == 3, "\(key) \(offered)") }
      // `_do_optimizer_sanity_check` refuses another type of gradients without ZeRO.
      if stage == 0, plan.job.precision != .fp32 { #expect(!plan.job.accumulatesGradientsInFP32, "\(offered)") }
    }
  }

  @Test func nanotronsKeys() throws {
    let table = try TargetTable("nanotron")
    try commands(of: NanotronTarget.self) { offered, command in
      let field = try parseYAML(text("nanotron.yaml", in: command), source: "nanotron.yaml")
      guard case .object(let sections) = field.value else { return }
      var values: [String: JSON] = [:]
      for section in sections {
        switch section.value {
        case .array(let entries): for entry in entries { table.check(entry, below: section.key, "\(offered)") }
        case .object(let members):
          for member in members where member.key != "model_config" {
            table.check(
              .object([member]), below: section.key, "\(offered)")
            values["\(section.key).\(member.key)"] = member.value
          }
          if let model = members.first(where: { $0.key == "model_config" })?.value {
            let isQwen =
              offered.plan.job.model.hasQueryKeyValueBias
              || offered.plan.job.model.details.attentionWindow != nil
            table.check(model, below: isQwen ? "qwen2" : "llama", "\(offered)")
          }
        default: Issue.record("\(section.key) is no section: \(offered)")
        }
      }
      func number(_ key: String) -> Int { if case .integer(let number)? = values[key] { number } else { 0 } }
      let degrees = (number("parallelism.dp"), number("parallelism.pp"), number("parallelism.tp"))
      #expect(degrees.0 * degrees.1 * degrees.2 == offered.plan.strategy.worldSize, "\(offered)")
      // 1F1B asserts it (`engine.py`).
      #expect(number("tokens.batch_accumulation_per_replica") >= degrees.1 - 1, "\(offered)")
      #expect(offered.plan.job.model.keyValueHeadCount >= degrees.2, "\(offered)")
    }
  }

  @Test(arguments: ["torchtitan", "torchtitan-main"])
  func torchtitansFlags(name: String) throws {
    let table = try TargetTable(name)
    let target = try #require(LaunchTargets.named(name))
    try commands(of: target) { offered, command in
      let words = try text("arguments.txt", in: command).split(separator: "\n").map(String.init)
      var values: [String: String] = [:]
      var index = 0
      while index < words.count {
        let word = words[index]
        index += 1
        if word.hasPrefix("activation-checkpoint:") {
          table.check("activation_checkpoint.mode", .string(String(word.dropFirst(22))), "\(offered)")
          #expect(index == words.count, "a subcommand is last: \(offered)")
          continue
        }
        let key = String(word.dropFirst(2)).replacing(".no-", with: ".")
        if index < words.count, !words[index].hasPrefix("--"), !words[index].hasPrefix("activation-checkpoint:") {
          let value = words[index]
          table.check(key, Int(value).map(JSON.integer) ?? .string(value), "\(offered)")
          values[key] = value
          index += 1
        } else {
          table.check(key, .boolean(true), "\(offered)")
          values[key] = ""
        }
      }
      expectRules(of: offered, values: values, isInTokens: name == "torchtitan-main")
      for case .literal(let word) in command.command where word.hasPrefix("--") {
        if word != "--module", word != "--config" { table.check(String(word.dropFirst(2)), .null, "\(offered)") }
      }
    }
  }

  /// What `trainer.py` and `parallel_dims.py` assert.
  private func expectRules(of offered: OfferedPlan, values: [String: String], isInTokens: Bool) {
    func number(_ key: String) -> Int { values[key].flatMap { Int($0) } ?? 0 }
    let replicas =
      number("parallelism.data_parallel_replicate_degree") * number("parallelism.data_parallel_shard_degree")
    let pipeline = number("parallelism.pipeline_parallel_degree")
    #expect(
      replicas * pipeline * number("parallelism.tensor_parallel_degree")
        * number("parallelism.context_parallel_degree") == offered.plan.strategy.worldSize,
      "\(offered)")
    if isInTokens {
      let micro = number("training.num_tokens_per_microbatch_per_dp_rank")
      let count = pipeline > 1 ? number("parallelism.num_pp_microbatches") : 1
      #expect(number("training.num_tokens_per_train_step") % (micro * count * replicas) == 0, "\(offered)")
    } else {
      let local = number("training.local_batch_size")
      #expect(number("training.global_batch_size") % (local * replicas) == 0, "\(offered)")
      if pipeline > 1 { #expect(local % number("parallelism.pipeline_parallel_microbatch_size") == 0, "\(offered)") }
    }
    #expect((values["training.disable_cuda_graphs"] != nil) == (pipeline > 1), "\(offered)")
  }

  @Test func tablesOfTorchtitan02() throws {
    let table = try TargetTable("torchtitan-0.2")
    try commands(of: TorchtitanTablesTarget.self) { offered, command in
      let field = try parseTOML(text("torchtitan.toml", in: command), source: "torchtitan.toml")
      table.check(field.value, below: "", "\(offered)")
      for case .literal(let word) in command.command where word.hasPrefix("--") {
        table.check(String(word.dropFirst(2)), .null, "\(offered)")
      }
    }
  }

  @Test func schedulesOfPipelinesAreEveryStagesPassesInOrder() throws {
    try commands(of: TorchtitanTarget.self) { offered, command in
      let strategy = offered.plan.strategy
      guard strategy.pipelineDegree > 1 else {
        #expect(!command.files.contains { $0.name == "schedule.csv" })
        return
      }
      let rows = try text("schedule.csv", in: command).split(separator: "\n")
      #expect(rows.count == strategy.pipelineDegree, "\(offered)")
      for (stage, row) in rows.enumerated() {
        let actions = row.replacing(")OVERLAP_F_B", with: "").split { ",;(".contains($0) }.map(String.init)
        // A split backward pass is two.
        let passCount = actions.reduce(0) { $0 + ($1.contains("I") ? 0 : 1) }
        #expect(passCount == 2 * offered.plan.microBatchCount * strategy.virtualStageCount, "\(offered)")
        #expect(Set(actions).count == actions.count, "\(offered)")
        for action in actions {
          let match = try #require(action.wholeMatch(of: /(\d+)[FBIW](\d+)/), "\(action) \(offered)")
          let place = strategy.schedule.place(
            ofVirtualStage: try #require(Int(match.1)), stageCount: strategy.pipelineDegree)
          #expect(place.stage == stage, "\(offered)")
        }
      }
    }
  }
}
