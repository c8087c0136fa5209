import ArgumentParser
import Costing
import Documents
import Foundation
import JSONText
import Search

/// `sextant plan`.
struct PlanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan",
    abstract: "Find the best way to train a model on a cluster.",
    discussion: """
      Example: sextant plan --cluster dgx-a100-16 --model gpt3-175b --global-batch 512 --output plan.json
      """)

  @OptionGroup var workload: WorkloadOptions

  @Option(
    help: ArgumentHelp(
      "Parts of the strategy that are not to be searched, such as tensor=8,zero_stage=1.", valueName: "key=value,…"))
  var fix: String?

  @OptionGroup var methods: AllowanceOptions

  @Option(
    help: ArgumentHelp(
      "Use so many of the cluster's nodes: the best to leave out where links were measured, else the last.",
      valueName: "count"))
  var nodes: Int?

  @Option(help: "How many of the best to list, 1 to 100.")
  var top: Int = 5

  @Option(help: "Threads that price strategies; the plan does not depend on it.")
  var threads: Int?

  @Option(
    help: ArgumentHelp("Stop after so many seconds with the best so far; such a plan says so.", valueName: "seconds"))
  var timeLimit: Double?

  @Option(help: ArgumentHelp("Write the plan here.", valueName: "file"))
  var output: String?

  @Flag(help: "Print the plan itself instead of a summary.")
  var json = false

  func validate() throws {
    guard (1...100).contains(top) else { throw ValidationError("--top is from 1 to 100") }
    guard (1...256).contains(threads ?? 1) else { throw ValidationError("--threads is from 1 to 256") }
    guard (timeLimit ?? 1) > 0, (timeLimit ?? 1) <= 1e9 else {
      throw ValidationError("--time-limit is a positive number")
    }
  }

  func run() throws {
    try reportingErrors {
      let pattern = try fix.map { (text) throws(DocumentError) in try StrategyPattern(text: text, source: "--fix") }
      if let pattern { try methods.check(pattern) }
      var model = try workload.costModel(catalog: .ofInstallation())
      if let nodes {
        guard (1...model.cluster.nodeCount).contains(nodes) else {
          throw ValidationError("--nodes is from 1 to the cluster's \(model.cluster.nodeCount)")
        }
        model = model.arranged(Array(0..<nodes))
      }
      let search = PlanSearch(
        model: model, pattern: pattern ?? StrategyPattern(), allowance: methods.allowance,
        options: PlanSearch.Options(
          resultCount: top, threadCount: threads ?? ProcessInfo.processInfo.activeProcessorCount))
      let watch = Watch(timeLimitSeconds: timeLimit)
      var progress = ProgressLine()
      let result = search.run(
        interruption: { watch.interruption },
        progress: { done, total in progress.show(done: done, of: total, doing: "strategies") })
      progress.clear()
      guard
        let plan = result.plan(
          model: model, fixed: search.pattern, allowance: search.allowance, toolVersion: toolVersion)
      else {
        if result.certificate.ending == .interrupted {
          throw complaint("interrupted before any strategy was completed", .interrupted)
        }
        if result.certificate.ending == .timeLimit {
          throw complaint("the time limit was reached before any strategy was completed", .failure)
        }
        throw complaint(InfeasibilityReport(result: result, model: model).sentence, .infeasible)
      }
      let text = plan.json.text(style: .pretty)
      if let output { try writeFileAtomically(Array(text.utf8), to: output) }
      try emit(json ? text : PlanReport(plan: plan).text)
      if watch.interruption == .user { throw ExitStatus.interrupted.code }
    }
  }
}
