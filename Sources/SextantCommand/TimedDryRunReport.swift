import Documents
import Execution
import Foundation
import JSONText
import Sextant

/// What a person, or a program, sees of a dry-run on a clock.
struct TimedDryRunReport {
  let run: TimedDryRun

  var text: String {
    let change = run.iterationSeconds / run.predictedSeconds - 1
    var text = """
      On the clock an iteration takes \(Format.seconds(run.iterationSeconds)); predicted are \
      \(Format.seconds(run.predictedSeconds)) (\(String(format: "%+.2f %%", 100 * change))).
      \(simulated)

      """
    if !run.differences.isEmpty {
      var table = Table(header: ["why they differ", "seconds"])
      for difference in run.differences {
        table.add([difference.reason, String(format: "%+.6f", difference.seconds)])
      }
      text += "\n" + table.text
    }
    return text + "\n" + causes + "\n" + memory
  }

  private var simulated: String {
    let run = run.simulation.run
    let ranks = Format.count(run.simulatedRankCount, of: "rank")
    if run.simulatedRankCount == run.worldSize {
      return "All \(ranks) simulated; \(Format.count(run.stepCount, of: "program step"))."
    }
    let what =
      run.areReplicasAlike
      ? "\(ranks) of \(run.worldSize) simulated, one for each stage: replicas and tensor ranks are alike"
      : "\(ranks) of \(run.worldSize) simulated, one for each tensor group"
    return what + "; \(Format.count(run.stepCount)) program steps."
  }

  /// Where time goes, the causes that take any.
  private var causes: String {
    let names = run.stages.first?.parts.map(\.name) ?? []
    let shown = names.indices.filter { index in run.stages.contains { $0.parts[index].seconds > 0 } }
    var table = Table(header: ["stage"] + shown.map { names[$0] })
    for (stage, row) in run.stages.enumerated() {
      table.add(["\(stage)"] + shown.map { Format.seconds(row.parts[$0].seconds) })
    }
    return "Where the time of each stage goes, of the rank that waits least\n" + table.text
  }

  private var memory: String {
    var table = Table(header: ["stage", "activations at most", "predicted"])
    for (stage, row) in run.stages.enumerated() {
      table.add([
        "\(stage)", Format.gigabytes(row.peakActivationBytes), Format.gigabytes(row.predictedActivationBytes),
      ])
    }
    return "Activations held, the fullest rank of each stage\n" + table.text
  }

  var json: JSON {
    .object([
      JSONMember("iteration_seconds", .number(run.iterationSeconds)),
      JSONMember("predicted_seconds", .number(run.predictedSeconds)),
      JSONMember(
        "differences",
        .array(
          run.differences.map {
            .object([JSONMember("reason", .string($0.reason)), JSONMember("seconds", .number($0.seconds))])
          })),
      JSONMember("simulated_ranks", .integer(run.simulatedRankCount)),
      JSONMember("replicas_are_alike", .boolean(run.simulation.run.areReplicasAlike)),
      JSONMember("program_steps", .integer(run.simulation.run.stepCount)),
      JSONMember(
        "stages",
        .array(
          run.stages.map { stage in
            .object([
              JSONMember(
                "time", .object(stage.parts.map { JSONMember("\($0.name)_seconds", .number($0.seconds)) })),
              JSONMember("peak_activation_bytes", .integer(stage.peakActivationBytes)),
              JSONMember("predicted_activation_bytes", .integer(stage.predictedActivationBytes)),
            ])
          })),
    ])
  }
}
