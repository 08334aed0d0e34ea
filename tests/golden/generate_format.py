"""Prints format.json: how PyTorch 2.13 prints tensors. Run: python3 generate_format.py > format.json"""
import torch, json
torch.manual_seed(0)
cases = {
 "ints": torch.arange(6).reshape(2,3), "whole": torch.tensor([[1.,2.],[3.,-40.]]), "frac": torch.tensor([1.5,-0.25,3.]),
 "sci": torch.tensor([1e-5,1.,3.5]), "big": torch.tensor([1e9,1.]), "nan": torch.tensor([float('nan'),1.5,float('inf'),-float('inf')]),
 "bool": torch.tensor([True,False]), "f64": torch.tensor([0.5],dtype=torch.float64), "i32": torch.tensor([1,-20],dtype=torch.int32),
 "scalar": torch.tensor(3.25), "empty": torch.tensor([]), "empty2": torch.zeros(0,3), "cube": torch.arange(8.).reshape(2,2,2),
 "long": torch.arange(40.)/7, "summary": torch.arange(2000.), "summary2": torch.arange(2400).reshape(40,60), "zeros": torch.zeros(2,2), "half": torch.tensor([1.5,2]).bfloat16(),
}
print(json.dumps({k:[v.dtype.__str__().replace("torch.",""), list(v.shape), [("nan" if x!=x else "inf" if x==float("inf") else "-inf" if x==-float("inf") else float(x)) for x in v.double().flatten().tolist()], str(v).replace("torch.","")] for k,v in cases.items()}))
