import Costing
import Documents
import JSONText
import TestSupport

/// A small random planning problem: 2 to 16 devices, 1 to 8 layers, and little memory, so that limits bind.
struct RandomProblem {
  let model: CostModel
  let description: String

  /// - Parameters:
  ///   - isMixed: whether some nodes have a slower device with another memory.
  ///   - device: the shipped profile whose rates and framework the device has.
  ///   - hasExperts: whether some or all of the layers have experts.
  ///   - needsHost: whether states are too many for the devices, and hosts have room for some of them or all.
  init(
    seed: UInt64, isMixed: Bool = false, needsHost: Bool = false, hasExperts: Bool = false,
    device name: String = "a100-sxm4-80gb"
  ) throws {
    var random = SeededGenerator(seed: seed)
    func pick<Value>(_ values: [Value]) -> Value { values.randomElement(using: &random) ?? values[0] }
    let nodes = isMixed ? pick([2, 3, 4]) : pick([1, 2, 4]), perNode = pick([2, 4])
    let layers = Int.random(in: 1...8, using: &random)
    let hidden = pick([512, 1024, 2048])
    let heads = pick([4, 8])
    let tied = Bool.random(using: &random)
    let vocabulary = pick([1024, 32_000, 128_000])
    let shape = try ModelDescription(
      name: "random", family: pick([.gpt, .llama]), layerCount: layers, hiddenSize: hidden, headCount: heads,
      keyValueHeadCount: pick([heads, heads / 2]), feedForwardSize: 4 * hidden, vocabularySize: vocabulary,
      hasGatedFeedForward: Bool.random(using: &random), hasTiedEmbeddings: tied)
    let routed = hasExperts ? try Self.withExperts(shape, &random) : shape
    let batch = pick([4, 6, 8, 16])
    let job = try TrainingJob(
      model: routed, sequenceLength: pick([256, 1024]), globalBatch: batch,
      accumulatesGradientsInFP32: Bool.random(using: &random))

    // Memory between a part of the static state of one device's share and a few times all of it.
    let state = Double(routed.parameterCount) * 18 / Double(nodes * perNode)
    let memory =
      needsHost
      ? Int(state * Double.random(in: 0.2...0.9, using: &random)) + 80_000_000
      : Int(state * Double.random(in: 1...12, using: &random)) + 200_000_000
    let overlaps = Bool.random(using: &random)
    let flash = Bool.random(using: &random)
    let profile = try JSON(
      parsing: readFile(at: Shipped.root + "/Profiles/\(name).json", maximumByteCount: 1 << 20))
    let device = try DeviceProfile(
      Field(
        profile.replacing("/datasheet/memory_bytes", with: .integer(memory))
          .replacing("/datasheet/flash_attention", with: .boolean(flash))
          .replacing("/memory/reserved_bytes", with: .integer(50_000_000))
          .replacing("/frameworks/0/layer_floor_seconds", with: .number(pick([0, 1e-3, 1e-2])))
          .replacing("/frameworks/0/floor_sharpness", with: .number(pick([1, 2, 20])))
          .replacing("/frameworks/0/overlaps_gradient_reduce", with: .boolean(overlaps)),
        source: "device"))
    var levels = [ClusterDescription.Level(name: "node", span: perNode, bytesPerSecond: pick([2e10, 3e11]))]
    if nodes > 1 {
      levels.append(
        ClusterDescription.Level(
          name: "network", span: nodes * perNode, bytesPerSecond: pick([1e9, 2.5e10]),
          sharedBytesPerSecond: pick([nil, 2e10])))
    }
    // Hosts with room for some of what stages could offload, or for all.
    let host: ClusterDescription.Host? = pick([
      needsHost
        ? ClusterDescription.Host(
          memoryBytes: shape.parameterCount * 40, bytesPerSecond: pick([3e9, 3e10]),
          sharedBytesPerSecond: pick([nil, 1e10]), updateBytesPerSecond: pick([nil, 1e10])) : nil,
      ClusterDescription.Host(
        memoryBytes: Int(Double(shape.parameterCount) * Double.random(in: 2...20, using: &random)),
        bytesPerSecond: pick([3e9, 3e10, 3e11])),
    ])
    var devices = [device], deviceOfNode = [Int](repeating: 0, count: nodes)
    if isMixed {
      let speed = Double.random(in: 0.3...1, using: &random), room = Double.random(in: 0.5...1.5, using: &random)
      let slower = device.json.replacing("/datasheet/memory_bytes", with: .integer(Int(Double(memory) * room)))
        .replacing(
          "/compute/gemm_peak_fraction", with: .number(device.compute.gemmPeakFraction * speed)
        )
        .replacing("/name", with: .string("slower"))
      devices.append(try DeviceProfile(Field(slower, source: "slower")))
      for node in 0..<nodes { deviceOfNode[node] = node == 0 ? 0 : pick([0, 1]) }
      deviceOfNode[nodes - 1] = 1
    }
    let cluster = try ClusterDescription(
      name: "random", devices: devices, deviceOfNode: deviceOfNode, nodeNames: (0..<nodes).map { "node-\($0)" },
      devicesPerNode: perNode, levels: levels, host: host)
    model = try CostModel(cluster: cluster, job: job)
    description =
      "seed \(seed): \(nodes)×\(perNode) devices, \(layers) layers of \(hidden), batch \(batch), \(memory) B"
  }

  /// The same shape with experts: in all layers, in all but the first ones, or in every other one.
  private static func withExperts(
    _ shape: ModelDescription, _ random: inout SeededGenerator
  ) throws -> ModelDescription {
    func pick<Value>(_ values: [Value]) -> Value { values.randomElement(using: &random) ?? values[0] }
    let layers = shape.layerCount
    var experts = ModelDescription.Experts(
      count: pick([4, 8]), perToken: pick([1, 2]), feedForwardSize: pick([shape.hiddenSize, shape.hiddenSize / 2]))
    experts.sharedFeedForwardSize = pick([0, shape.hiddenSize])
    let first = Array(0..<min(layers - 1, pick([1, 2, 3])))
    experts.denseLayers = pick([[], first, Array(stride(from: 0, to: layers - 1, by: 2))])
    return try ModelDescription(
      name: "random with experts", family: .llama, layerCount: layers, hiddenSize: shape.hiddenSize,
      headCount: shape.headCount, keyValueHeadCount: shape.keyValueHeadCount, feedForwardSize: shape.feedForwardSize,
      vocabularySize: shape.vocabularySize, hasGatedFeedForward: shape.hasGatedFeedForward,
      hasTiedEmbeddings: shape.hasTiedEmbeddings, experts: experts, predictionDepth: pick([0, 0, 1]))
  }
}
