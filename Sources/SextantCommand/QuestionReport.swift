import Costing
import Documents
import JSONText
import Sextant

/// What was asked, as it was understood: model, cluster, batch, sequence, precisions and framework, and which of them
/// nobody stated.
struct QuestionReport {
  let cluster: ClusterDescription
  let job: TrainingJob
  /// The nodes that are used.
  let nodeOrder: [Int]
  let framework: String
  /// What is a default.
  var defaults: [Planner.Default] = []

  /// What a planner is asked.
  init(of planner: Planner) {
    cluster = planner.model.cluster
    job = planner.model.job
    nodeOrder = planner.model.nodeOrder
    framework = planner.framework.name
    defaults = planner.defaults
  }

  /// What a plan was asked.
  /// - Parameter defaults: what of it nobody stated, where that is known.
  init(of plan: Documents.Plan, defaults: [Planner.Default] = []) {
    cluster = plan.cluster
    job = plan.question.job
    nodeOrder = plan.arrangement.nodeOrder
    framework = plan.question.framework
    self.defaults = defaults
  }

  /// One line.
  var text: String {
    line([
      "\(subject): \(devices) in " + Format.count(nodeOrder.count, of: "node"),
      "global batch \(Format.count(job.globalBatch))",
    ])
  }

  /// One line without what differs from row to row of a table: nodes and batch.
  var sharedText: String { line([subject]) }

  private var subject: String {
    "\(job.model.name.oneLine) (\(Format.count(job.model.parameterCount)) parameters) on \(cluster.name.oneLine)"
  }

  private func line(_ beginning: [String]) -> String {
    let parts: [String?] =
      beginning + [
        marked("sequence \(Format.count(job.sequenceLength))", .sequence), marked(job.precision.rawValue, .precision),
        job.precision.products == nil || job.wideLayers == .none ? nil : "\(job.wideLayers.words) layers in bf16",
        job.headProducts == nil ? nil : "the head's products as well",
        job.precision.products == nil || !job.narrowsAttention ? nil : "attention in FP8",
        marked("gradients in \(gradientPrecision)", .gradientPrecision),
        // Named where it is not what everybody uses.
        job.optimizer == .adam ? nil : job.optimizer.words, marked(framework, .framework),
      ]
    return parts.compactMap { $0 }.joined(separator: ", ") + "\n"
  }

  var json: JSON {
    .object([
      JSONMember("model", .string(job.model.name)), JSONMember("parameters", .integer(job.model.parameterCount)),
      JSONMember("cluster", .string(cluster.name)), JSONMember("nodes", .integer(nodeOrder.count)),
      JSONMember("devices", .integer(nodeOrder.count * cluster.devicesPerNode)),
      JSONMember("global_batch", .integer(job.globalBatch)),
      JSONMember("sequence_length", .integer(job.sequenceLength)),
      JSONMember("precision", .string(job.precision.rawValue)),
      JSONMember("gradient_accumulation_precision", .string(gradientPrecision)),
      JSONMember("optimizer", job.optimizer.json),
      JSONMember("framework", .string(framework)), JSONMember("defaults", .strings(defaults.map(\.rawValue))),
    ])
  }

  private var gradientPrecision: String { job.accumulatesGradientsInFP32 ? "fp32" : job.precision.storage.rawValue }

  private func marked(_ words: String, _ part: Planner.Default) -> String {
    defaults.contains(part) ? "\(words) (default)" : words
  }

  /// `128 × H100`; of a mixed cluster each model with its count.
  private var devices: String {
    cluster.devices.indices.compactMap { model in
      let nodes = nodeOrder.count { cluster.deviceOfNode[$0] == model }
      return nodes == 0 ? nil : "\(Format.count(nodes * cluster.devicesPerNode)) × \(cluster.devices[model].title)"
    }.joined(separator: " and ")
  }
}
