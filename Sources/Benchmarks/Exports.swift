import Costing
import Documents
import Foundation
import Launch
import Search

/// Whether a first answer is one that can be launched: every shipped cluster and model under every framework.
extension Benchmarks {
  /// Prints, by framework, how many first answers are exported, with the same groups on the way back, and why there is
  /// none for the others.
  static func reportExports(catalog: Catalog) throws {
    for table in Capabilities.all {
      var exportedCount = 0, seconds = 0.0
      var reasons: [String: Int] = [:]
      for cluster in try names(in: "Clusters", of: catalog) {
        for name in try names(in: "Profiles/models", of: catalog) {
          let description = try catalog.cluster(cluster), model = try catalog.model(name)
          let isBF16 = description.device.peakFLOPPerSecond(.bf16) > 0
          let job = try TrainingJob(
            model: model, sequenceLength: model.positionCount > 0 ? min(4_096, model.positionCount) : 4_096,
            globalBatch: max(256, 2 * description.deviceCount), precision: isBF16 ? .bf16 : .fp16)
          guard let choice = FrameworkChoice(named: table.name, device: description.device, job: job) else { continue }
          let search = PlanSearch(
            model: try CostModel(cluster: description, job: job, frameworkName: choice.coefficientName),
            capabilities: table, options: .init(margin: 0.01, threadCount: 2))
          let start = ContinuousClock.now
          let result = search.run()
          let plan = search.plan(of: result, toolVersion: "benchmark")
          seconds += (ContinuousClock.now - start).seconds
          guard let plan else {
            let rule = result.shortage == nil ? result.certificate.rejections.first?.rule ?? "none" : "memory"
            reasons[rule, default: 0] += 1
            continue
          }
          let outcome = try export(plan, to: table.name)
          if outcome.isEmpty { exportedCount += 1 } else { reasons["NOT EXPORTED: \(outcome)", default: 0] += 1 }
        }
      }
      print("  \(table.name): \(exportedCount) exported, plans in \(hundredths(seconds)) s")
      for (reason, count) in reasons.sorted(by: { $0.key < $1.key }) { print("    \(count): \(reason)") }
    }
  }

  /// Why a plan is not exported; empty where it is, with its own groups on the way back.
  private static func export(_ plan: Plan, to name: String) throws -> String {
    guard let target = LaunchTargets.named(name) else { return "no target" }
    do {
      let command = try target.program(of: plan)
      guard command.stageArguments.isEmpty else { return "" }
      let read = try target.configuration(in: command.files, deviceCount: plan.deviceCount)
      let groups = target.groups(of: read)
      for axis in Mesh.searchedAxes
      where groups[axis.name] != plan.strategy.mesh.groups(along: axis).map(\.ranks) {
        return "other \(axis.name) groups"
      }
      return ""
    } catch let refusal as LaunchRefusal { return "\(refusal)" } catch let error as DocumentError { return "\(error)" }
  }

  private static func names(in folder: String, of catalog: Catalog) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: "\(catalog.root ?? ".")/\(folder)")
      .filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }.sorted()
  }
}
