import Documents

extension Precision {
  /// What ranks need in their environment to multiply as a plan says: PyTorch multiplies fp32 numbers as TF32 where it is
  /// told to (`aten/src/ATen/Context.cpp` reads the variable), and NVIDIA's containers tell it already.
  var environment: [(name: String, value: String)] {
    self == .tf32 ? [(name: "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", value: "1")] : []
  }
}
