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
    ("mistralai--Mixtral-8x7B-v0.1_config", 46_702_792_704), ("Qwen--Qwen3-30B-A3B_config", 30_532_122_624),
    ("deepseek-ai--DeepSeek-V3_config", 671_026_419_200),
  ])
  func aModelWithExpertsIsReadAsItIs(file: String, published: Int) throws {
    let model = try ModelDescription(contentsOf: "\(Checkout.inputs)/hf-config/\(file).json")
    #expect(model.parameterCount == published)
  }

  @Test(arguments: [
    ("mixtral-8x7b", 46_702_792_704), ("qwen3-30b-a3b", 30_532_122_624), ("qwen3-235b-a22b", 235_093_634_560),
    ("deepseek-v3", 671_026_419_200), ("kimi-k2", 1_026_408_232_448), ("gpt-oss-120b", 116_829_156_672),
    ("llama-3.1-405b", 405_853_388_800), ("qwen2.5-72b", 72_706_203_648), ("gemma-3-27b", 27_009_346_304),
  ])
  func modelsThatArePlannedTodayHaveTheirParameters(name: String, published: Int) throws {
    #expect(try Catalog(root: Checkout.root).model(name).parameterCount == published)
  }
}
