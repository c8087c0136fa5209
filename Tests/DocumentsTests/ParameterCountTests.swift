import Documents
import Testing

@Suite struct ParameterCountTests {
  /// What the model cards state: the sum of the sizes of all tensors of the published weights.
  @Test(arguments: [
    ("gpt2", 124_439_808), ("llama-2-7b", 6_738_415_616), ("llama-2-70b", 68_976_648_192),
    ("llama-3-8b", 8_030_261_248), ("llama-3-70b", 70_553_706_496), ("mistral-7b", 7_241_732_096),
    ("qwen2-7b", 7_615_616_512), ("qwen3-8b", 8_190_735_360),
  ])
  func aShippedModelHasThePublishedNumberOfParameters(name: String, published: Int) throws {
    #expect(try Catalog(root: Checkout.root).model(name).parameterCount == published)
  }

  /// Models that are known by a rounded number of billions.
  @Test(arguments: [
    ("gpt3-175b", 175e9), ("opt-175b", 175e9), ("megatron-22b", 22e9), ("megatron-145b", 145e9),
    ("megatron-530b", 530e9), ("megatron-1t", 1e12),
  ])
  func aShippedModelIsWithinOnePercentOfItsName(name: String, nominal: Double) throws {
    let count = Double(try Catalog(root: Checkout.root).model(name).parameterCount)
    #expect(abs(count / nominal - 1) < 0.01, "\(name) has \(count) parameters")
  }

  @Test(arguments: [
    ("meta-llama--Meta-Llama-3.1-8B_config", 8_030_261_248), ("meta-llama--Meta-Llama-3.1-70B_config", 70_553_706_496),
  ])
  func aHuggingFaceConfigurationIsReadAsItIs(file: String, published: Int) throws {
    let model = try ModelDescription(contentsOf: "\(Checkout.inputs)/hf-config/\(file).json")
    #expect(model.parameterCount == published)
    #expect(model.name == file)
    #expect(model.family == .llama)
    #expect(model.keyValueHeadCount == 8)
  }

  @Test(arguments: [
    ("mistralai--Mixtral-8x7B-v0.1_config", "mixtral"), ("Qwen--Qwen3-30B-A3B_config", "qwen3_moe"),
    ("deepseek-ai--DeepSeek-V3_config", "deepseek_v3"),
  ])
  func aModelThatIsNotDenseIsRefusedByName(file: String, type: String) throws {
    let path = "\(Checkout.inputs)/hf-config/\(file).json"
    let error = #expect(throws: DocumentError.self) { try ModelDescription(contentsOf: path) }
    #expect(error?.description.contains(type) == true, "\(String(describing: error))")
    #expect(error?.source == path)
    #expect(error?.location == "/model_type")
  }
}
