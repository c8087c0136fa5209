import Costing
import Documents
import Execution
import Foundation
import JSONText
import Sextant

/// What a person, or a program, sees of a dry-run.
struct DryRunReport {
  let miniature: Miniature
  let run: Execution.DryRun

  var text: String {
    let strategy = miniature.strategy, job = miniature.model.job
    let steps = Format.count(run.steps.count, of: unit)
    let trained = isOuter ? "\(steps) of \(Format.count(strategy.outer.period, of: "iteration"))" : steps
    let context = strategy.contextDegree > 1 ? ", context \(strategy.contextDegree)" : ""
    let workers = isOuter ? ", worker \(strategy.workerDegree)" : ""
    var text = """
      The plan holds in miniature: \(Format.count(strategy.worldSize, of: "rank")) (tensor \(strategy.tensorDegree), \
      data \(strategy.dataDegree), pipeline \(strategy.pipelineDegree)\(context)\(workers)) trained \
      \(Format.count(job.model.layerCount, of: "layer")) for \(trained) of \
      \(Format.count(strategy.microBatchCount(globalBatch: job.globalBatch), of: "micro-batch")), \
      \(Format.count(run.programStepCount)) program steps \(isOuter ? "a round" : "an iteration").

      """
    if !miniature.changes.isEmpty {
      let changes = miniature.changes.map { "\($0.what) \(Format.count($0.planned)) → \(Format.count($0.executed))" }
      text += "Smaller than planned: \(changes.joined(separator: ", ")).\n"
    }
    if let products = miniature.narrowProducts {
      let precision = products.precision.rawValue
      text +=
        products.areExecuted
        ? "Operands of products are rounded to those of \(precision), in the ranks and in the reference.\n"
        : "Products are executed in \(job.precision.rawValue) and not in \(precision): what is cast is not tried.\n"
      let asStored = [("the output head", products.narrowsHead), ("attention", products.narrowsAttention)]
      for (what, isNarrow) in asStored where isNarrow && products.areExecuted {
        text += "Those of \(what) are executed as they are stored: what it casts is not tried.\n"
      }
      if products.areExecuted, job.wideLayers != .none {
        text += "Those of the first \(job.wideLayers.first) and the last \(job.wideLayers.last) layers are not.\n"
      }
      if let bits = products.gatheredFormat?.gatheredWeightBitCount, strategy.replicaCount > 1 {
        text +=
          "Weights of products are cast before replicas gather them, \(Format.count(bits, of: "bit")) each; on a device they are "
          + "counted as they are stored.\n"
      }
      if let block = products.blockLength, !products.widthsOffBlocks.isEmpty {
        let widths = products.widthsOffBlocks.map { "\($0.what) \(Format.count($0.count))" }
        text +=
          "On a rank of the plan not whole blocks of \(block) numbers, which frameworks want: "
          + widths.joined(separator: ", ") + ".\n"
      }
    }
    return text + "\n" + [numbers, traffic, memory, bubble].joined(separator: "\n")
  }

  /// The precision that products are executed in.
  private var products: String {
    guard let products = miniature.narrowProducts, products.areExecuted else {
      return miniature.model.job.precision.rawValue
    }
    return products.precision.rawValue
  }

  private var isOuter: Bool { miniature.strategy.update == .outer }
  /// What the run's steps are.
  private var unit: String { isOuter ? "round" : "step" }

  /// What is wrong, in a sentence; nil where all of it holds.
  static func complaint(_ verdict: Sextant.DryRun.Verdict) -> String? {
    switch verdict {
    case .holds: return nil
    case .edited(let disagreements):
      return "was edited after it was written" + (disagreements.first.map { ": \($0)" } ?? "")
    case .exceedsMemory(let stage, let peakBytes, let limitBytes):
      return
        "stage \(stage) needs \(Format.gigabytes(peakBytes)), more than the \(Format.gigabytes(limitBytes)) that a "
        + "device can hold"
    case .stuck(let reason): return "does not run: \(reason)"
    case .disagrees(let sentences):
      let others = sentences.count > 1 ? " (and \(sentences.count - 1) more; --json lists all)" : ""
      return "does not hold in miniature: \(sentences.first ?? "")\(others)"
    }
  }

  private var numbers: String {
    var table = Table(header: [unit, "loss", "reference", "error", "norm's error", "parameters' error"])
    for (index, step) in run.steps.enumerated() {
      table.add([
        "\(index)", String(format: "%.6f", step.loss.executed), String(format: "%.6f", step.loss.reference),
        scientific(step.loss.relativeError), scientific(step.gradientNorm.relativeError),
        scientific(step.parameterError),
      ])
    }
    let limits = run.tolerances
    let first =
      limits.firstLoss == limits.firstScalars
      ? scientific(limits.firstLoss)
      : "\(scientific(limits.firstLoss)) of the loss, \(scientific(limits.firstScalars)) of the norm"
    return "Against the serial reference; errors up to \(first), then "
      + "\(scientific(limits.laterScalars)), parameters \(scientific(limits.parameters)), are rounding\n" + table.text
  }

  private var traffic: String {
    guard !run.traffic.isEmpty else { return "Nothing is sent\n" }
    var table = Table(header: ["kind", "level", "bytes an iteration", "counted"], leftColumns: [0, 1])
    for row in run.traffic {
      // What workers send each other they send once a round.
      table.add([
        row.kind == "outer" ? "outer, a round" : row.kind, row.level, Format.count(row.executedBytes),
        Format.count(row.countedBytes),
      ])
    }
    return "Bytes sent, all ranks together\n" + table.text
  }

  private var memory: String {
    var table = Table(header: ["stage", "kind", "peak bytes", "counted"], leftColumns: [0, 1])
    for row in run.memory {
      table.add(["\(row.stage)", row.kind, Format.count(row.executedBytes), Format.count(row.countedBytes)])
    }
    return "Bytes held, the fullest rank of each stage\n" + table.text
  }

  private var bubble: String {
    "Bubble: \(Format.count(run.bubble.executedPasses)) idle passes, as the schedule says\n"
  }

  private func scientific(_ value: Double) -> String { value == 0 ? "0" : String(format: "%.1e", value) }

  var json: JSON {
    .object([
      JSONMember("holds", .boolean(run.disagreements.isEmpty)),
      JSONMember("disagreements", .array(run.disagreements.map(JSON.string))),
      JSONMember("miniature", miniatureJSON),
      JSONMember(
        "steps",
        .array(
          run.steps.map { step in
            .object([
              JSONMember("loss", comparison(step.loss)), JSONMember("gradient_norm", comparison(step.gradientNorm)),
              JSONMember("parameter_error", finite(step.parameterError)),
              JSONMember("worst_part", .string(step.worstPart)),
              JSONMember("replicas_agree", .boolean(step.replicasAgree)),
            ])
          })),
      JSONMember(
        "tolerances",
        .object([
          JSONMember("first_loss", .number(run.tolerances.firstLoss)),
          JSONMember("first_scalars", .number(run.tolerances.firstScalars)),
          JSONMember("later_scalars", .number(run.tolerances.laterScalars)),
          JSONMember("parameters", .number(run.tolerances.parameters)),
        ])),
      JSONMember(
        "traffic",
        .array(
          run.traffic.map { row in
            .object([
              JSONMember("kind", .string(row.kind)), JSONMember("level", .string(row.level)),
              JSONMember("executed_bytes", .integer(row.executedBytes)),
              JSONMember("counted_bytes", .integer(row.countedBytes)),
              JSONMember("disagreeing_ranks", .integer(row.disagreeingRankCount)),
            ])
          })),
      JSONMember(
        "memory",
        .array(
          run.memory.map { row in
            .object([
              JSONMember("stage", .integer(row.stage)), JSONMember("kind", .string(row.kind)),
              JSONMember("executed_bytes", .integer(row.executedBytes)),
              JSONMember("counted_bytes", .integer(row.countedBytes)),
            ])
          })),
      JSONMember(
        "bubble",
        .object([
          JSONMember("executed_passes", .integer(run.bubble.executedPasses)),
          JSONMember("expected_passes", .integer(run.bubble.expectedPasses)),
        ])),
      JSONMember("program_steps", .integer(run.programStepCount)),
    ])
  }

  private var miniatureJSON: JSON {
    .object([
      JSONMember("strategy", miniature.strategy.json),
      JSONMember("layer_counts", .array(miniature.split.layerCounts.map(JSON.integer))),
      JSONMember("optimizer", run.optimizer.json),
      JSONMember("emulates_precision", .boolean(run.options.emulatesPrecision)),
      JSONMember("products", .string(products)),
      JSONMember(
        "changes",
        .array(
          miniature.changes.map {
            .object([
              JSONMember("what", .string($0.what)), JSONMember("planned", .integer($0.planned)),
              JSONMember("executed", .integer($0.executed)),
            ])
          })),
    ])
  }

  private func comparison(_ value: Execution.DryRun.Comparison) -> JSON {
    .object([
      JSONMember("executed", finite(value.executed)), JSONMember("reference", finite(value.reference)),
      JSONMember("relative_error", finite(value.relativeError)),
    ])
  }

  /// What is no number is null: JSON has no other word for it.
  private func finite(_ value: Double) -> JSON { value.isFinite ? .number(value) : .null }
}
