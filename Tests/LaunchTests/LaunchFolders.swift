import Costing
import Documents
import TestSupport

@testable import Launch

/// A target whose program shows what it was started with.
enum ShowingTarget: LaunchTarget {
  static let name = "showing"
  static let capabilities = Capabilities.megatronLM

  /// Words that shells trip over.
  static let awkward = [
    "", " ", "a b", "it's", "\"q\"", "$HOME", "`id`", "$(id)", "\\", "*", "a\nb", "é", "~", "-n", "!!",
  ]

  static func command(for plan: Plan) -> RankCommand {
    RankCommand(
      files: [LaunchFile(name: "some arguments.txt", text: "--one\nwith space $X\n\n'last'")],
      settings: [
        .init("DATA_PATH", value: "", comment: "Where the data are."),
        .init("TOKENIZER", value: "it's $5", comment: "The tokenizer."),
        .init("EXTRA", value: "", comment: "Something else.", isOptional: true),
      ],
      environment: [("FROM_TARGET", "a'b $c")],
      command: [.literal("python")] + awkward.map { .literal($0) } + [
        .setting("DATA_PATH"), .prefixed("--tokenizer=", setting: "TOKENIZER"), .setting("EXTRA"),
        .file("some arguments.txt"), .words(inFile: "some arguments.txt"),
      ],
      stageArguments: (0..<plan.strategy.pipelineDegree).map { ["--stage", "number \($0)"] },
      notes: ["The program is the user's."])
  }

  static func configuration(
    in files: [LaunchFile], deviceCount: Int?
  ) throws(DocumentError) -> RunConfiguration {
    throw DocumentError(source: "", location: "", expected: "nothing reads it back", found: nil)
  }

  static func groups(of configuration: RunConfiguration) -> [String: [[Int]]] { [:] }
}

/// Small clusters, and plans on them that nobody searched for.
enum LaunchFolders {
  /// Nodes of two devices, by name, or by count.
  static func cluster(_ names: [String], namesHosts: Bool = true) throws -> ClusterDescription {
    var levels = [ClusterDescription.Level(name: "node", span: 2, bytesPerSecond: 300e9)]
    if names.count > 1 {
      levels.append(ClusterDescription.Level(name: "network", span: 2 * names.count, bytesPerSecond: 25e9))
    }
    return try ClusterDescription(
      name: "small", device: Shipped.catalog.device("a100-sxm4-80gb"), nodeNames: names, namesHosts: namesHosts,
      devicesPerNode: 2, levels: levels)
  }

  /// A stage on every node, in an order of nodes.
  static func plan(
    _ cluster: ClusterDescription, nodeOrder: [Int]? = nil, pattern: String? = nil, model: String = "gpt2"
  ) throws -> Plan {
    let job = try TrainingJob(model: Shipped.catalog.model(model), sequenceLength: 1_024, globalBatch: 16)
    let order = nodeOrder ?? Array(cluster.nodeNames.indices)
    let costs = try CostModel(cluster: cluster, job: job).arranged(order)
    let estimate = try Estimate(
      model: costs,
      pattern: StrategyPattern(text: pattern ?? "tensor=2,data=1,pipeline=\(order.count)", source: "test"))
    return Plan(stating: estimate.strategy, split: estimate.split, on: costs)
  }

  /// Two replicas that divide everything.
  static func shardedPlan() throws -> Plan {
    try plan(cluster(["a"]), pattern: "tensor=1,data=2,pipeline=1,zero_stage=3")
  }

  /// Four ranks on two hosts whose order as strings is the other one.
  static func namedPlan() throws -> Plan { try plan(cluster(["node7", "node66"]), nodeOrder: [1, 0]) }

  /// Four ranks on two hosts that nobody named.
  static func countedPlan() throws -> Plan { try plan(cluster(["node-0", "node-1"], namesHosts: false)) }

  static func folder(_ plan: Plan, by launcher: JobLauncher, hosts: HostList? = nil) throws -> LaunchFolder {
    try LaunchFolder(of: plan, for: ShowingTarget.self, by: launcher, on: HostAssignment(plan, list: hosts))
  }
}
