import Foundation
import Sextant

/// Plans Llama 3 8B on four DGX A100, and looks at the plan from all sides: docs/from-swift.md goes through it.
@main
struct PlanInSwift {
  static func main() throws {
    // What is trained, and where.
    let cluster = try Cluster.named("dgx-a100-4")
    let job = Job(model: try .named("llama-3-8b"), globalBatch: 256, sequence: 8192)
    let planner = try Planner(cluster: cluster, job: job)

    // The best plan, or why there is none.
    let plan: Plan
    switch try planner.best() {
    case .success(let best): plan = best
    case .failure(let no):
      print("No plan: \(no)")
      return
    }
    print("Best: \(plan.strategy)")
    print("  \(plan.prediction.iterationSeconds) s an iteration, \(plan.prediction.peakBytes) bytes at most")
    print("  proven within \(plan.certificate.gap * 100) %")

    // Where the time goes, and what each stage holds.
    for (cause, seconds) in plan.prediction.secondsByCause where seconds > 0 { print("  \(cause): \(seconds) s") }
    for (index, stage) in plan.prediction.stages.enumerated() {
      print("  stage \(index): \(stage.bytesByKind.map { "\($0.kind) \($0.bytes)" }.joined(separator: ", "))")
    }

    // A strategy of your own, beside it.
    let own = try planner.estimate(Strategy("tensor=8,recompute=full"))
    print("Own: \(own.prediction.iterationSeconds / plan.prediction.iterationSeconds) times as long")

    // Why it won, and what would have to change.
    let explanation = try plan.explanation()
    for other in explanation.alternatives.prefix(3) { print("  \(other.strategy): \(other.reason)") }
    if let link = explanation.bindingLink { print("Binding: \(link.resource)") }

    // To a file and back; a plan that was edited does not hold.
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("plan-in-swift.json").path
    try plan.write(to: path)
    let verification = try Plan.file(path).verification()
    print("Verified: \(verification.holds)")

    // The plan executed in miniature.
    var options = DryRun.Options()
    options.rankLimit = 16
    options.stepCount = 1
    let run = try DryRun(plan, options: options)
    print("Dry-run: \(run.verdict)")

    // The files that start it; an answer of the framework's may be no.
    switch try plan.launchFolder(for: "megatron-lm", launcher: .slurm) {
    case .success(let folder): print("Launch: fill in \(folder.requiredSettings), then \(folder.instructions)")
    case .failure(let no): print("Launch: \(no)")
    }

    // Bad input says where, what was expected and what was found.
    do {
      _ = try Strategy("tenosr=8")
    } catch {
      print(error)
    }
  }
}
